"""What the system costs, measured: `python -m loadtest --help`, and docs/performance.md for what each figure means.

Every figure that is judged is a ratio of two things measured in one run on one machine, since these machines are
shared and noisy. Nothing outside this folder imports it.
"""
