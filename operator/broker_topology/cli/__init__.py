"""The command line, for users and for CI.

Exit codes: 0 nothing to do, or done; 1 an error, or something is blocked; 2 wrong usage; 3 `plan` or `check` found
differences, or `export` left something out. Findings and errors go to standard error, results to standard output. A
user's mistake never shows a stack trace.
"""

from broker_topology.cli.commands import main

__all__ = ["main"]
