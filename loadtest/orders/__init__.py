"""Marks P1 and P2: orders from 202 to COMPLETED through every service, and what that costs.

`generator` places them over HTTP, `course` measures a flow from the first to the last, `ours` is Warren as that flow,
`exactness` holds what the broker counted against what the services stored.
"""
