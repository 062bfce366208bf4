"""The work of `warren up`: runs the system, and prints its URLs and the services' logs."""

import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime

from rich.console import Console

from devtools.local.instance import Instance
from devtools.local.system import METRICS, System
from devtools.ports import require_free_port
from devtools.processes.supervisor import sigterm_as_interrupt
from services.shared.chassis.text import printable
from warren.cli.local import PORT
from warren.progress import ProgressReport

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta", "white")

_out = Console(highlight=False, emoji=False, soft_wrap=True)


def run(port: int, *, fresh: bool, quiet: bool, prometheus: bool = True) -> None:
    """Run until Ctrl-C or `warren down`."""
    with sigterm_as_interrupt(), Instance("up") as instance:
        other = port + 10 if port < 65000 else PORT
        require_free_port(
            port, "the order API", instead=f"use another: make up PORT={other}, or .venv/bin/warren up --port {other}"
        )
        report = ProgressReport()
        lines = LogPrinter(report)
        with System(
            instance.dir,
            report=report,
            fresh=fresh,
            http_port=port,
            traces=True,
            on_line=None if quiet else lines,
            prometheus=prometheus,
            environment={"shipping": {"WARREN_PREPARATION_SECONDS": "5"}},  # time to type `order cancel`
        ) as system:

            def record() -> None:
                instance.record(system.urls, system.pids, system.names)

            watch = system.watch(lines.announce, record)
            record()
            lines.write(_description(system))
            with suppress(KeyboardInterrupt):
                watch.run()
            lines.write("stopping …")


class LogPrinter:
    """Prints log lines, each in the colour of its service; thread-safe.

    On a terminal it uses the console of the progress report: two consoles would mix their lines.
    """

    def __init__(self, report: ProgressReport) -> None:
        self._console = report.console if report.console.is_terminal else _out
        self._lock = threading.Lock()
        self._colours: dict[str, str] = {}

    def __call__(self, process: str, line: str) -> None:
        with self._lock:
            colour = self._colours.setdefault(process, COLOURS[len(self._colours) % len(COLOURS)])
        self.write(line, colour)

    def announce(self, text: str) -> None:
        """Print a line of the runner in the format of the services' logs."""
        at = datetime.now(UTC).strftime("%H:%M:%S.%f")[:12]
        self.write(f"{at} {'warren':<12} {text}", "bold red")

    def write(self, text: str, style: str = "") -> None:
        """Print lines as one block, with control characters escaped."""
        text = printable(text, keep="\n\t")
        with self._lock:
            if _out.is_terminal:
                self._console.print(text, style=style, markup=False, soft_wrap=True)
            else:
                sys.stdout.write(f"{text}\n")
                sys.stdout.flush()


def _description(system: System) -> str:
    user, password = system.broker_login("monitoring")
    rows = [
        *((name, url) for name, url in system.urls.items() if not name.startswith(METRICS)),
        ("  login", f"{user} / {password} (RabbitMQ management UI)"),
        ("  passwords", f"{system.secrets} (of all other users and roles)"),
        ("CA", system.servers.broker.endpoints.ca_file),
        ("logs", f"{system.folder / 'logs'}, or: .venv/bin/warren logs"),
        ("metrics", "URLs: .venv/bin/warren status"),
    ]
    return "\n".join(
        [
            "",
            *(f"  {name:<18} {value}" for name, value in rows),
            "",
            "Try, in another terminal:",
            f"  curl -X POST {system.urls['orders']} -H 'Content-Type: application/json'"
            ' -d \'{"orderId": "1", "user": "you", "items": ["mug"]}\'',
            "  .venv/bin/warren order place mug:2 --customer you --watch",
            "  .venv/bin/warren trace 1",
            "Stop with Ctrl-C, or `make down`.",
            "",
        ]
    )
