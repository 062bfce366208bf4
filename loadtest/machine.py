"""The facts without which a figure cannot be read: the machine, the versions, what else was running."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import msgspec

LIBRARIES = ("aio-pika", "aiormq", "asyncpg", "litestar", "msgspec", "uvloop")


class Machine(msgspec.Struct, frozen=True):
    processor: str
    cores: int
    """Those that this process may use."""
    memory_gib: float
    kernel: str
    load: float
    """Average of the minute before the run; more than about 0.3 means that somebody else was at work."""
    python: str
    libraries: dict[str, str]


def facts() -> Machine:
    return Machine(
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
