"""Findings: what is wrong in a topology, and where.

Findings are collected, so that the author of a topology sees all of them in one run.
"""

import difflib
from collections.abc import Iterable

import msgspec

MAX_SEARCHED = 300


class Origin(msgspec.Struct, frozen=True):
    """The place that a resource was read from."""

    file: str
    document: int = 1
    """Position in the file, counted from 1."""
    name: str = ""
    """`metadata.name`, once it is known."""

    def __str__(self) -> str:
        return self.file if self.document == 1 else f"{self.file} (document {self.document})"


Subject = tuple[str, str | int | None]
"""Section of the resource and name (or position) in it. A path is ambiguous, because names may hold dots."""


class Finding(msgspec.Struct, frozen=True):
    """An error or a warning (`message`) and its place (`origin`, `path`)."""

    origin: Origin
    path: str
    """Dotted path inside the resource, such as `spec.queues.inventory.queue.deadLetter`; empty for the whole file."""
    message: str
    subject: Subject | None = None
    warning: bool = False
    """The broker accepts it, and it is probably a mistake. With `strict: true` it is an error."""

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
        name = "" if self.name is None else f"[{self.name}]" if isinstance(self.name, int) else f".{self.name}"
        return f"spec.{self.section}{name}"

    def finding(self, message: str, where: str = "", *, warning: bool = False) -> Finding:
        path = f"{self}{'.' if where and not where.startswith('[') else ''}{where}"
        return Finding(self.origin, path, message, (self.section, self.name), warning)


def errors_in(findings: Iterable[Finding]) -> list[Finding]:
    """Returns the findings without the warnings."""
    return [each for each in findings if not each.warning]


def printable(text: str) -> str:
    """Escapes line breaks and control codes: names at a broker may hold any character."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Returns `, did you mean X?` if a known name is close to `wrong`, else "". Does not search very many names: that
    would dominate the run time."""
    names = list(known)
    close = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6) if len(names) <= MAX_SEARCHED else []
    return f", did you mean {close[0]}?" if close else ""
