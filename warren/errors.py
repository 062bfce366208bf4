"""Errors that a command reports in one line, without a stack trace.

WarrenError         the text is ready to print: what is wrong, where, and what to do
└── ClientError     a request failed, or the command cannot be carried out as given
"""

import os
import sys

FAILED = 1


class WarrenError(Exception):
    """An error for the user; `str()` is ready to print."""


class ClientError(WarrenError):
    """A request failed. `status` is the HTTP status of the response; None without a response."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


def fail(program: str, text: str) -> int:
    """Report on standard error why the program ends; return the exit code."""
    if sys.stderr is not None:
        coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        name = f"\x1b[31m{program}:\x1b[0m" if coloured else f"{program}:"
        try:
            sys.stderr.write(f"{name} {text}\n")
            sys.stderr.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return FAILED
