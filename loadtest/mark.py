"""A mark of docs/performance.md, and what a command's exit code says about it."""

from enum import IntEnum

import msgspec


class Exit(IntEnum):
    """Exit codes of every command; usage errors are 2, as everywhere."""

    MET = 0
    BROKEN = 1
    """An invariant does not hold, or the run could not be made: its figures mean nothing."""
    MISSED = 3
    """All is well but for the speed."""


class Mark(msgspec.Struct, frozen=True):
    """One number against one bound."""

    number: str
    """P1 to P9"""
    what: str
    value: float
    bound: float
    at_most: bool = False
    """Whether the bound is a ceiling; it is a floor otherwise."""

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def wanted(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g}"


def exit_code(marks: list[Mark], broken: list[str]) -> Exit:
    if broken:
        return Exit.BROKEN
    return Exit.MET if all(mark.met for mark in marks) else Exit.MISSED
