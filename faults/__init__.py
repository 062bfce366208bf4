"""Fault injection: runs the whole system so that any part of it can be broken and repaired while it works.

The fault tests (tests/faults) inject one fault at a time, `python -m loadtest chaos` many at once (`faults.chaos`).
"""
