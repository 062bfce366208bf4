"""CPU time of other processes, as the kernel counts it."""

import os
from collections.abc import Mapping
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")  # seconds

SERVERS: Mapping[str, str] = {"RabbitMQ": "beam.smp", "PostgreSQL": "postgres"}
"""Server to the name of the process that does its work."""


def of_process(pid: int) -> float:
    """Seconds of user and system time so far, with those of children that have ended. Resolution: 10 ms."""
    own, ended, _, _ = _stat(pid)
    return own + ended


def of_server(name: str, pid: int) -> float | None:
    """As of_process, of everything that descends from `pid`.

    None when the server's work is not done there, as with a container, which is its daemon's child.
    """
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                own, ended, parent, command = _stat(int(entry.name))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked; its parent has its time
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
    # The name is in brackets and may hold anything, brackets too.
    name, fields = text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()
    user, system, ended_user, ended_system = (int(field) * TICK for field in fields[11:15])
    return user + system, ended_user + ended_system, int(fields[1]), name
