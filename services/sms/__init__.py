"""The sms service: delivers notifications as text messages through an HTTP gateway.

Owns the delivery records of its channel. Each call carries an idempotency key, so the gateway sends a message once.
"""
