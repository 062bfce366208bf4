"""Target P5: the cost of an order does not grow with old orders, nor beside a long queue.

`history` fills tables, `backlog` fills a queue, `preloaded_system` is Warren with either of them, and `pairs` compares
it with an empty system.
"""
