"""One complaint about a topology, with the place it is about.

Findings are collected, never raised one by one: whoever writes a topology sees everything that is wrong with it
in one run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """Where a resource was read from."""

    file: str
    document: int = 1
    """Position in the file, counted from 1."""
    name: str = ""
    """`metadata.name`, once it is known."""

    def __str__(self) -> str:
        return self.file if self.document == 1 else f"{self.file} (document {self.document})"


class Finding(msgspec.Struct, frozen=True):
    """What is wrong (`message`) and where (`origin`, `path`)."""

    origin: Origin
    path: str
    """Dotted path inside the resource, such as `spec.queues.inventory.queue.deadLetter`; empty for the whole file."""
    message: str

    def __str__(self) -> str:
        where = f"{self.origin}: {self.path}" if self.path else str(self.origin)
        return f"{where}: {self.message}"


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`, did you mean X?` when something close to `wrong` exists, else nothing."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f", did you mean {close[0]}?" if close else ""
