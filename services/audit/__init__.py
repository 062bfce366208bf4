"""The audit service: keeps all events, and answers what happened to an order and whether an event is missing.

Owns an append-only log. Its key is the sequence number that each source gives its events about an order: a missing
number is a lost event, and a number that is used twice is a contradiction.
"""
