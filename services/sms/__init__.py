"""Delivers notifications as text messages through an HTTP gateway.

Owns one record per notification: skipped because the customer has no telephone number, being sent, or sent. The
gateway is given an idempotency key, so a repeated call sends nothing twice.
"""
