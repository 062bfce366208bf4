"""`warren up` and `warren down`."""

import sys
import threading
from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter, validators
from rich.console import Console

from warren.local.instance import Instance
from warren.local.ports import require_free_port
from warren.local.report import ConsoleReport
from warren.local.stopping import stoppable
from warren.local.system import System

PORT = 8080
COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta", "white")

_out = Console(highlight=False, soft_wrap=True)


def up(
    *,
    port: Annotated[
        int, Parameter(help="Port of the order API; 0 takes any.", validator=validators.Number(gte=0, lte=65535))
    ] = PORT,
    fresh: Annotated[bool, Parameter(help="Start from empty databases and queues.")] = False,
    quiet: Annotated[bool, Parameter(help="Do not show the services' logs.")] = False,
) -> None:
    """Run everything on this machine until Ctrl-C, or `warren down` from another terminal.

    Data stay for the next time unless --fresh is given.

    Try:

        warren up

        warren up --fresh --port 8090
    """
    with stoppable(), Instance("up") as instance:
        other = port + 10 if port < 65000 else PORT
        require_free_port(
            port, "the order API", instead=f"use another: make up PORT={other}, or .venv/bin/warren up --port {other}"
        )
        report = ConsoleReport()
        with System(
            instance.dir,
            report=report,
            fresh=fresh,
            http_port=port,
            on_line=None if quiet else Lines(report),
            environment={"shipping": {"WARREN_PREPARATION_SECONDS": "3"}},  # time to type `order cancel`
        ) as system:
            instance.record(system.urls, {**system.servers.pids, **system.processes.pids})
            _describe(system)
            with suppress(KeyboardInterrupt):
                system.processes.wait()
            _out.print("stopping …")


def down() -> None:
    """Stop what `warren up` started in this checkout.

    Try: warren down
    """
    stopped = Instance("up").stop()
    _out.print("stopped" if stopped else "nothing is running")


class Lines:
    """Prints the services' lines, each in its service's colour; safe for the threads that read them.

    On a terminal they go through the console of the report: two would write into each other's lines.
    """

    def __init__(self, report: ConsoleReport) -> None:
        self._console = report.console if report.console.is_terminal else _out
        self._lock = threading.Lock()
        self._colours: dict[str, str] = {}

    def __call__(self, process: str, line: str) -> None:
        with self._lock:
            colour = self._colours.setdefault(process, COLOURS[len(self._colours) % len(COLOURS)])
            if _out.is_terminal:
                self._console.print(line, style=colour, markup=False, soft_wrap=True)
            else:
                sys.stdout.write(f"{line}\n")
                sys.stdout.flush()


def _describe(system: System) -> None:
    user, password = system.broker_login("monitoring")
    _out.print()
    rows = [
        *system.urls.items(),
        ("  login", f"{user} / {password}"),
        ("logs", system.folder / "logs"),
        ("CA", system.servers.broker.address.ca_file),
    ]
    for name, value in rows:
        _out.print(f"  {name:<18} {value}", markup=False)
    _out.print(
        "\nTry, in another terminal:\n"
        f"  curl -X POST {system.urls['orders']} -H 'Content-Type: application/json'"
        ' -d \'{"orderId": "1", "user": "you", "items": ["mug"]}\'\n'
        "  .venv/bin/warren order place mug:2 --user you --watch\n"
        "Stop with Ctrl-C, or `make down`.\n",
        markup=False,
    )
