"""CPU time of other processes, and the cores that processes run on.

A measured process has a core to itself and the servers have the others, so that the scheduler does not affect its
speed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil

SERVERS: Mapping[str, str] = {"RabbitMQ": "beam.smp", "PostgreSQL": "postgres"}
"""Server to the name of its main process."""


def of_process(pid: int) -> float:
    """Seconds of user and system time, including children that have ended. Resolution: 10 ms."""
    return _seconds(psutil.Process(pid))


def of_server(name: str, pid: int) -> float | None:
    """Like of_process, for `pid` and all its descendants.

    None when the server is not among them, as with a container, which is a child of its daemon.
    """
    process = psutil.Process(pid)
    names, seconds = set(), 0.0
    for member in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has just ended; its parent has its time
            names.add(member.name())
            seconds += _seconds(member)
    return seconds if SERVERS[name] in names else None


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


def measured_core() -> int | None:
    """The core of the measured process; None when there is only one core."""
    cores = sorted(os.sched_getaffinity(0))
    return cores[0] if len(cores) > 1 else None


@contextmanager
def avoid_core(core: int | None) -> Iterator[None]:
    """Keep this thread, and all processes and threads that it starts, off `core`.

    Has no effect on servers in Docker, which its daemon starts.
    """
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, before - {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def use_core(core: int | None) -> None:
    """Move this process to `core`."""
    if core is not None:
        os.sched_setaffinity(0, {core})
