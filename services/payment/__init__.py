"""The payment service: charges each order once through a payment gateway, and refunds it when it is cancelled.

Owns the table `payments`. Only the gateway knows whether money has moved. Every call to it has the order's id as its
idempotency key, so a repeated call is safe.
"""
