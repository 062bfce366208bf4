"""Shared code of the channel services. Each delivers notifications to customers through one provider.

A channel service (`services.email`, `services.sms`) adds its `Channel`, the message format and the provider's client.
Its migrations create the table `deliveries`: one row for each notification, with its state on this channel.
"""
