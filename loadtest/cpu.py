"""CPU time of other processes, and the cores that processes run on.

A measured process has a core to itself and the servers have the others, so that the scheduler does not affect its
speed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds
SERVERS: Mapping[str, str] = {"RabbitMQ": "beam.smp", "PostgreSQL": "postgres"}
"""Server to the name of its main process."""


def of_process(pid: int) -> float:
    """Seconds of user and system time, including children that have ended. Resolution: 10 ms."""
    own, ended, _, _ = _stat(pid)
    return own + ended


def of_server(name: str, pid: int) -> float | None:
    """Like of_process, for all descendants of `pid`.

    None when the server is not among them, as with a container, which is a child of its daemon.
    """
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                own, ended, parent, command = _stat(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended; its parent has its time
            parents[int(entry.name)], names[int(entry.name)], seconds[int(entry.name)] = parent, command, own + ended
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    if SERVERS[name] not in {names.get(member) for member in family}:
        return None
    return sum(seconds.get(member, 0.0) for member in family)


def _stat(pid: int) -> tuple[float, float, int, str]:
    """Own time, ended children's time, parent, name of the command."""
    text = Path(f"/proc/{pid}/stat").read_text()
    # The name is in brackets and may contain brackets itself.
    name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    user, system, ended_user, ended_system = (int(field) * TICK for field in fields[11:15])
    return user + system, ended_user + ended_system, int(fields[1]), name


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
