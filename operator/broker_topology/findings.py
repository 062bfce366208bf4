"""One complaint about a topology, with the place it is about.

Findings are collected, never raised one by one: whoever writes a topology sees everything that is wrong with it
in one run.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec

MAX_SEARCHED = 300


class Origin(msgspec.Struct, frozen=True):
    """Where a resource was read from."""

    file: str
    document: int = 1
    """Position in the file, counted from 1."""
    name: str = ""
    """`metadata.name`, once it is known."""

    def __str__(self) -> str:
        return self.file if self.document == 1 else f"{self.file} (document {self.document})"


Subject = tuple[str, str | int | None]
"""Section of the resource and name (or position) in it: exact, where a path is ambiguous since names hold dots."""


class Finding(msgspec.Struct, frozen=True):
    """What is wrong (`message`) and where (`origin`, `path`)."""

    origin: Origin
    path: str
    """Dotted path inside the resource, such as `spec.queues.inventory.queue.deadLetter`; empty for the whole file."""
    message: str
    subject: Subject | None = None
    warning: bool = False
    """The broker accepts it, and it is probably a mistake. It refuses a resource only where that asks for `strict`."""

    def __str__(self) -> str:
        where = f"{self.origin}: {self.path}" if self.path else str(self.origin)
        return printable(f"{where}: {self.message}")


class ObjectRef(msgspec.Struct, frozen=True):
    """One object of a resource, for findings about it."""

    origin: Origin
    section: str
    name: str | int | None
    """None for the section itself."""

    def __str__(self) -> str:
        if isinstance(self.name, int):
            return f"spec.{self.section}[{self.name}]"
        return f"spec.{self.section}.{self.name}" if self.name is not None else f"spec.{self.section}"

    def finding(self, message: str, where: str = "", *, warning: bool = False) -> Finding:
        path = f"{self}{'.' if where and not where.startswith('[') else ''}{where}"
        return Finding(self.origin, path, message, (self.section, self.name), warning)


def refusing(findings: Iterable[Finding]) -> list[Finding]:
    """Those that are no warnings."""
    return [each for each in findings if not each.warning]


def printable(text: str) -> str:
    """Safe on a terminal and on one line: names at a broker may hold line breaks, escape codes, anything."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`, did you mean X?` when something close to `wrong` exists, else nothing. Among very many names nothing is
    searched: it would take longer than everything else."""
    names = list(known)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6) if len(names) <= MAX_SEARCHED else []
    return f", did you mean {close[0]}?" if close else ""
