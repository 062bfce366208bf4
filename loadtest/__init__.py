"""Benchmarks: `python -m loadtest --help`; docs/performance.md explains every figure.

A target is always a ratio of two measurements of one run on one machine, because these machines are shared. Nothing
outside of this folder imports it.
"""
