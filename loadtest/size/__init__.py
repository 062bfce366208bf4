"""Target P5: the cost of an order does not grow with old orders, nor beside a long queue.

`history` fills tables, `preloaded_system` is Warren with old rows or a long queue, and `pairs` compares it with an
empty system.
"""
