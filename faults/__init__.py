"""The hand that breaks things: the whole system set up so that anything in it can fail and be mended while it works.

Used by the fault tests (tests/faults), one fault at a time, and by `python -m loadtest chaos`, many at once.
"""
