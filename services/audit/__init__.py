"""Keeps every event for good, and answers what happened to an order, when, and whether anything is missing.

Owns an append-only log, with the numbers that each source gives its events about an order as the key: a number
that is missing is a lost event, a number given twice is a contradiction, and both can be seen.
"""
