"""The result of a benchmark: the host, summaries of repeated measurements, targets, and the exit code."""

import os
import platform
import statistics
from collections.abc import Sequence
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path

import msgspec

LIBRARIES = ("aio-pika", "aiormq", "asyncpg", "litestar", "msgspec", "uvloop")


class ExitCode(IntEnum):
    """Exit codes of every command; wrong usage is 2."""

    MET = 0
    BROKEN = 1
    """An invariant is broken or the run failed, so that its figures mean nothing."""
    MISSED = 3
    """Every invariant holds, and a target is missed."""


class Target(msgspec.Struct, frozen=True):
    """A measured value and its bound."""

    number: str
    """P1 to P9"""
    what: str
    value: float
    bound: float
    at_most: bool = False
    """Whether the bound is a maximum instead of a minimum."""

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def wanted(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g}"


def exit_code(targets: Sequence[Target], broken: Sequence[str]) -> ExitCode:
    if broken:
        return ExitCode.BROKEN
    return ExitCode.MET if all(target.met for target in targets) else ExitCode.MISSED


class Summary(msgspec.Struct, frozen=True):
    min: float
    median: float
    """Compared with a target, because one disturbed measurement does not change it."""
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        return cls(min(values), statistics.median(values), max(values))


class Host(msgspec.Struct, frozen=True):
    """The machine and the versions that figures depend on."""

    processor: str
    cores: int
    """Those that this process may use."""
    memory_gib: float
    kernel: str
    load: float
    """Average of the minute before the run; more than about 0.3 means that other work was going on."""
    python: str
    libraries: dict[str, str]

    @classmethod
    def current(cls) -> "Host":
        return cls(
            processor=_field("/proc/cpuinfo", "model name") or platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(int(_field("/proc/meminfo", "MemTotal").split()[0] or 0) / 2**20, 1),
            kernel=platform.release(),
            load=round(os.getloadavg()[0], 2),
            python=platform.python_version(),
            libraries={name: version(name) for name in LIBRARIES},
        )


def _field(file: str, name: str) -> str:
    for line in Path(file).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
