"""Mark P5: what an order costs does not grow with what was there before.

`history` fills tables, `backlog` a queue, `sized` is the system as a flow that looks only at what came since, `pairs`
runs it beside an empty one.
"""
