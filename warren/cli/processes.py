"""`warren status`, `warren logs` and `warren restart`: for what `warren up` runs, from another terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from warren.cli.options import Json
from warren.errors import ClientError

if TYPE_CHECKING:
    from devtools.local.instance import Instance, InstanceState

RESTART_LIMIT = 240.0  # seconds; a server has 180 to start
METRICS = "metrics of "
LOGS = {"postgres": "PostgreSQL", "rabbitmq": "RabbitMQ"}


def status(*, as_json: Json = False) -> int:
    """Show what `warren up` runs, since when, and where. Exit code 1 if anything of it is down.

    Try:

        warren status

        warren status --json | jq -r .urls.orders
    """
    instance, state = _running()
    up = {name: process for name, process in state.processes.items() if process.alive}
    code = 0 if len(up) == len(state.processes) and not state.down else 1
    if as_json:
        parts = {name: up[name].pid if name in up else None for name in (*state.processes, *state.down)}
        print(json.dumps({"urls": state.urls, "logs": str(instance.dir / "logs"), "processes": parts}))
        return code
    for name, url in state.urls.items():
        if not name.startswith(METRICS):
            print(f"{name:<18} {url}")
    print(f"{'logs':<18} {instance.dir / 'logs'}\n")
    for name in (*state.processes, *state.down):
        shown = f"up {_duration(up[name].age):<8} pid {up[name].pid}" if name in up else "DOWN"
        print(f"{name:<14} {shown:<24} {state.urls.get(METRICS + name, '')}".rstrip())
    return code


def logs(
    name: Annotated[str | None, Parameter(help="A service or a server; all without it.")] = None,
    /,
    *,
    lines: Annotated[int, Parameter(help="How many of the last lines.", validator=validators.Number(gte=0))] = 20,
    follow: Annotated[bool, Parameter(help="Go on with new lines until Ctrl-C.", negative="")] = False,
) -> None:
    """Show the end of the logs of `warren up`, also after it has ended.

    Try:

        warren logs payment --follow

        warren logs RabbitMQ --lines 200
    """
    from devtools.local.instance import Instance

    folder = Instance("up").dir / "logs"
    found = [*sorted(folder.glob("services/*.log")), *sorted(folder.glob("*.log"))]
    files = {LOGS.get(file.stem, file.stem): file for file in found if not file.name.endswith(".old.log")}
    if not files:
        raise ClientError(f"There are no logs in {folder}: nothing was started yet. Start it: make up")
    chosen = list(files.values()) if name is None else [files[_named(name, list(files))]]
    sys.stdout.flush()
    os.execvp("tail", ["tail", f"--lines={lines}", *(["-F"] if follow else []), *map(str, chosen)])  # noqa: S606


def restart(name: Annotated[str, Parameter(help="A service or a server.")], /) -> None:
    """Restart one part of what `warren up` runs, or start it if it is down; returns when it runs.

    Try: warren restart payment
    """
    instance, state = _running()
    part = _named(name, [*state.processes, *state.down])
    before = state.processes.get(part)
    instance.request_restart(part)
    deadline = time.monotonic() + RESTART_LIMIT
    while time.monotonic() < deadline:
        _, state = _running()
        process = state.processes.get(part)
        if process is not None and process != before:
            print(f"{part} runs again, pid {process.pid}")
            return
        time.sleep(0.1)
    raise ClientError(f"{part} has not started within {RESTART_LIMIT:.0f} s. Its log: warren logs {part}")


def _running() -> tuple[Instance, InstanceState]:
    from devtools.local.instance import Instance

    instance = Instance("up")
    state = instance.state
    if state is None:
        raise ClientError("Nothing runs in this checkout. Start it: make up")
    if not state.urls:
        raise ClientError("It is just being started.")
    return instance, state


def _named(given: str, names: Sequence[str]) -> str:
    """The name that is meant, in any case of letters."""
    for name in names:
        if name.lower() == given.lower():
            return name
    raise ClientError(f"There is no {given!r}. There are: {', '.join(names)}.")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
