"""Benchmarks: `python -m loadtest --help`; docs/performance.md explains every figure.

Except for P7, a target is a ratio of two measurements of one run on one machine, because these machines are shared.
Only tests import this package.
"""
