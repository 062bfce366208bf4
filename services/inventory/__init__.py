"""The inventory service: owns what is on the shelf, what is set aside for an order and what is sold. It reserves all
lines of an order or none, and takes them back when the order is cancelled."""
