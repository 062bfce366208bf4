"""What commands raise for a mistake or a failure that a person can act on, and how that is reported."""

import os
import sys

FAILED = 1


class ClientError(Exception):
    """A request failed; the text is for the person who made it. `status` is the answer's, if there was an answer."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


def fail(program: str, text: str) -> int:
    """Say on standard error why the program ends; returns the exit code."""
    if sys.stderr is not None:
        coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
        name = f"\x1b[31m{program}:\x1b[0m" if coloured else f"{program}:"
        try:
            sys.stderr.write(f"{name} {text}\n")
            sys.stderr.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return FAILED
