"""The command line: the same engine and the same files, for people and for CI.

Exit codes: 0 nothing to do, or done; 1 an error, or something stays blocked; 2 wrong usage; 3 `plan` or `check` found
differences. Findings and errors go to standard error, the plan to standard output. A user's mistake never shows a
stack trace.
"""

from broker_topology.cli.commands import main

__all__ = ["main"]
