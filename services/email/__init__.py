"""The email service: delivers notifications as mails over SMTP.

Owns the delivery records of its channel. Delivery is at-least-once; a repeated mail has the same Message-ID, by which
mail programs recognise it.
"""
