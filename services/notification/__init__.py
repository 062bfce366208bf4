"""The notification service: decides which events a customer is notified of, and requests a message on every channel.

Owns one notification log per order: the customer's contact, the events that were notified, and the events that wait
for the contact. The channel services deliver the messages.
"""
