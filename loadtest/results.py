"""Parts of a benchmark's result: the host, summaries of repeated measurements, targets, and the exit code."""

import os
import platform
import statistics
from collections.abc import Sequence
from enum import IntEnum
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

LIBRARIES = ("aio-pika", "aiormq", "asyncpg", "litestar", "msgspec", "uvloop")


class ExitCode(IntEnum):
    """Exit codes of all benchmark commands, except 2, which the argument parser returns for wrong usage."""

    MET = 0
    BROKEN = 1
    """An invariant is broken or the run failed; the measured values are not valid."""
    MISSED = 3
    """Every invariant holds, but a target is missed."""


class Target(msgspec.Struct, frozen=True):
    """A measured value and the bound that it must respect."""

    id: str
    """`P1` to `P9`, as in docs/performance.md."""
    quantity: str
    """The measured quantity, in words."""
    value: float
    bound: float
    at_most: bool = False
    """Whether the bound is a maximum; otherwise it is a minimum."""

    @property
    def met(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound

    @property
    def bound_text(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g}"


def exit_code(targets: Sequence[Target], broken: Sequence[str]) -> ExitCode:
    """Return the exit code of a run; `broken` describes the broken invariants."""
    if broken:
        return ExitCode.BROKEN
    return ExitCode.MET if all(target.met for target in targets) else ExitCode.MISSED


class Summary(msgspec.Struct, frozen=True):
    """Summary of repeated measurements of one quantity."""

    min: float
    median: float
    """The value compared with a target: a single outlier hardly changes it."""
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Summary":
        return cls(min(values), statistics.median(values), max(values))


class Host(msgspec.Struct, frozen=True):
    """The machine and the software versions on which the measured values depend."""

    processor: str
    cores: int
    """CPU cores that this process may use."""
    memory_gib: float
    kernel: str
    load: float
    """Load average of the minute before the run; above about 0.3 other programs disturbed the run."""
    python: str
    libraries: dict[str, str]

    @classmethod
    def current(cls) -> "Host":
        return cls(
            processor=_field("/proc/cpuinfo", "model name") or platform.machine(),
            cores=len(os.sched_getaffinity(0)),
            memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
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
