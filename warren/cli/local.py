"""Commands for the system on this machine: `up`, `down`, `demo`, `status`, `logs`, `restart`."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from warren.cli.arguments import Json
from warren.errors import ClientError

if TYPE_CHECKING:
    from devtools.local.instance import Instance, InstanceState

PORT = 8080
RESTART_LIMIT = 240.0  # seconds; more than the 180 that PostgreSQL and RabbitMQ have to start
METRICS = "metrics of "  # prefix of a process in the `urls` of the instance's state
LOG_NAMES = {"postgres": "PostgreSQL", "rabbitmq": "RabbitMQ", "prometheus": "Prometheus"}


def up(
    *,
    port: Annotated[
        int, Parameter(help="Port of the order API; 0 takes a free one.", validator=validators.Number(gte=0, lte=65535))
    ] = PORT,
    fresh: Annotated[bool, Parameter(negative="", help="Start with empty databases and queues.")] = False,
    quiet: Annotated[bool, Parameter(negative="", help="Do not show the services' logs.")] = False,
    prometheus: Annotated[bool, Parameter(help="Run Prometheus, at port 9090 if that is free.")] = True,
) -> None:
    """Run the whole system on this machine until Ctrl-C, or until `warren down` in another terminal.

    Data is kept for the next run unless --fresh is given. A service or server that ends unexpectedly is restarted, at
    most five times in a row.

    Try:

        warren up

        warren up --fresh --port 8090
    """
    from devtools.local.up import run

    run(port, fresh=fresh, quiet=quiet, prometheus=prometheus)


def down() -> None:
    """Stop the `warren up` of this checkout.

    Try: warren down
    """
    from devtools.local.instance import Instance

    print("stopped" if Instance("up").stop() else "nothing is running")


def demo(
    *, logs: Annotated[bool, Parameter(negative="", help="Show the services' logs while the orders run.")] = False
) -> int:
    """Place example orders that succeed, fail or are cancelled, show their progress, and check the invariants.

    Starts the whole system on private servers with empty databases, and stops it at the end. Exit code 0 means that
    every order ended as expected and every invariant held.

    Try: warren demo --logs
    """
    from devtools.local import demo

    return demo.run(logs=logs)


def status(*, as_json: Json = False) -> int:
    """Show the processes of `warren up` with their uptime and URLs. Exit code 1 if one of them is down.

    Try:

        warren status

        warren status --json | jq -r .urls.orders
    """
    instance, state = _running()
    up = {name: process for name, process in state.processes.items() if process.alive}
    code = 0 if len(up) == len(state.processes) and not state.down else 1
    names = (*state.processes, *state.down)
    folder = str(instance.dir / "logs")
    if as_json:
        processes = {name: up[name].pid if name in up else None for name in names}
        print(json.dumps({"urls": state.urls, "logs": folder, "processes": processes}))
        return code
    for name, url in (*state.urls.items(), ("logs", folder)):
        if not name.startswith(METRICS):
            print(f"{name:<18} {url}")
    print()
    for name in names:
        text = f"up {_duration(up[name].age):<8} pid {up[name].pid}" if name in up else "DOWN"
        print(f"{name:<18} {text:<24} {state.urls.get(METRICS + name, '')}".rstrip())
    return code


def logs(
    name: Annotated[str | None, Parameter(help="A service or a server; without it, all.")] = None,
    /,
    *,
    lines: Annotated[int, Parameter(help="Number of lines from the end.", validator=validators.Number(gte=0))] = 20,
    follow: Annotated[bool, Parameter(help="Continue with new lines until Ctrl-C.", negative="")] = False,
) -> None:
    """Show the last lines of the logs of `warren up`, which remain after it has ended.

    Try:

        warren logs payment --follow

        warren logs RabbitMQ --lines 200
    """
    from devtools.local.instance import Instance

    folder = Instance("up").dir / "logs"
    found = [*sorted(folder.glob("services/*.log")), *sorted(folder.glob("*.log"))]
    files = {LOG_NAMES.get(file.stem, file.stem): file for file in found if not file.name.endswith(".old.log")}
    if not files:
        raise ClientError(f"there are no logs in {folder}: start the system with `make up`")
    chosen = list(files.values()) if name is None else [files[_match(name, list(files))]]
    sys.stdout.flush()
    os.execvp("tail", ["tail", f"--lines={lines}", *(["-F"] if follow else []), *map(str, chosen)])  # noqa: S606


def restart(name: Annotated[str, Parameter(help="A service or a server.")], /) -> None:
    """Restart one service or server of `warren up`, or start it if it is down, and wait until it runs.

    Try: warren restart payment
    """
    instance, state = _running()
    part = _match(name, [*state.processes, *state.down])
    before = state.processes.get(part)
    instance.request_restart(part)
    deadline = time.monotonic() + RESTART_LIMIT
    while time.monotonic() < deadline:
        _, state = _running()
        process = state.processes.get(part)
        if process is not None and process != before:
            print(f"{part} is running again, pid {process.pid}")
            return
        time.sleep(0.1)
    raise ClientError(f"{part} did not start within {RESTART_LIMIT:.0f} s; its log: warren logs {part}")


def _running() -> tuple[Instance, InstanceState]:
    from devtools.local.instance import Instance

    instance = Instance("up")
    state = instance.state
    if state is None:
        raise ClientError("nothing is running in this checkout: start it with `make up`")
    if not state.urls:
        raise ClientError("the system is still starting")
    return instance, state


def _match(given: str, names: Sequence[str]) -> str:
    """Return the name that equals `given`, ignoring case. Raises ClientError if there is none."""
    for name in names:
        if name.lower() == given.lower():
            return name
    raise ClientError(f"no service or server is called {given!r}; the names are: {', '.join(names)}")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
