"""Takes the money for an order once, through a payment gateway, and gives it back when the order is cancelled.

Owns the table `payments`: how far the payment of each order has come. Whether money has moved is the gateway's to
know; this service only ever asks it with the order's id as the key, so asking twice is safe.
"""
