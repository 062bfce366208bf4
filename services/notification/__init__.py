"""Decides what a customer hears of an order, and asks every channel to say it.

Owns one conversation per order: where its customer can be reached, what was told already, and the news that
arrived before it was known whom to tell. It reaches nobody itself; the channel services do.
"""
