"""Targets P1 and P2: orders from 202 to COMPLETED through every service, and their cost.

`generator` places orders over HTTP, `run` measures a system from the first order to the last, `warren_system` is Warren
as such a system, `exactly_once` compares the broker's counters with what the services stored.
"""
