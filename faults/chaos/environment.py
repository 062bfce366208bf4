"""The system under chaos: the rig with two of most processes, and a caretaker who starts again what has ended.

The caretaker is what Kubernetes is in production. It is not told of faults: whatever has died, by whatever hand, it
starts again after a moment, except for processes that a fault holds down for a while. What ended by itself it notes:
that nobody's fault explains is a defect.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from devtools.errors import LocalError
from devtools.ports import remembered_ports
from devtools.processes.supervisor import ProcessSpec
from devtools.servers.credentials import remembered_secret
from faults.chaos.fault_kinds import CONSUMERS, EVERYBODY, READ_ALONG
from faults.chaos.timeline import Timeline
from faults.chaos.workload import opening_stock
from faults.harness import BROKER, DATABASE, Rig
from faults.proxy import Line, OpenLine
from warren.progress import ProgressReport

PAYMENT_DEADLINE = 60.0  # seconds
OUTBOX_LIMIT = 150
ENVIRONMENT = {
    "*": {"WARREN_SHUTDOWN_SECONDS": "8"},  # less than the grace that follows SIGTERM
    "order-api": {"WARREN_OUTBOX_LIMIT": str(OUTBOX_LIMIT)},
    "order-worker": {"WARREN_DEADLINE_TICK_SECONDS": "0.5"},
    "payment": {"WARREN_GATEWAY_TIMEOUT_SECONDS": "1"},
    "shipping": {"WARREN_PREPARATION_SECONDS": "0.4", "WARREN_CARRIER_SECONDS": "0.4"},
}
# Less impatient than the fault tests: sixteen processes at once on a few cores must not be taken for dead.
IMPATIENCE = {"FAULT_LEASE_SECONDS": "5", "FAULT_HEARTBEAT_SECONDS": "3", "FAULT_PATIENCE_SECONDS": "10"}
STARTING_AGAIN = 0.3  # seconds between two rounds of the caretaker
ALREADY_SAID = {0, 69}
"""Exit codes that no defect has: a tidy end, and servers that stayed away while a process started."""


class Site(Rig):
    impatience = IMPATIENCE

    def __init__(self, folder: Path, timeline: Timeline, report: ProgressReport, payment_deadline: float) -> None:
        stock = folder / "opening-stock.json"
        stock.write_bytes(msgspec.json.encode(opening_stock()))
        api = ENVIRONMENT["order-api"] | {"WARREN_PAYMENT_DEADLINE_SECONDS": str(payment_deadline)}
        environment = ENVIRONMENT | {"order-api": api, "inventory": {"WARREN_OPENING_STOCK_FILE": str(stock)}}
        super().__init__(folder, environment=environment, report=report, on_line=timeline.note)
        self.timeline = timeline
        self.over = threading.Event()
        """The run is being ended: nobody waits any longer."""
        self.strange: list[str] = []
        """Processes that ended as nobody's fault explains."""
        self.restarts = 0
        self.late_stops = 0
        """Processes that were killed because SIGTERM had not ended them within the grace."""
        self.replays: Counter[str] = Counter()
        self.excused = 0
        """Faults under way that make a process end with a configuration error."""
        self._held: set[str] = set()
        self._extra: dict[str, dict[str, str]] = {}
        self._open: dict[tuple[str, str], OpenLine] = {}
        self._lock = threading.RLock()
        self._at_work = threading.Event()

    def start(self) -> None:
        super().start()
        self.second_api = remembered_ports(self.folder / "second-api.json", ("order-api-2",))["order-api-2"]
        for name in EVERYBODY:
            if name.endswith("-2"):
                self.processes.start(self.usual(name))
        self._wait_until_ready()
        self._at_work.set()
        self._caretaker = threading.Thread(target=self._care, name="caretaker", daemon=True)
        self._caretaker.start()

    def stop(self) -> None:
        self._at_work.clear()
        self.over.set()
        if hasattr(self, "_caretaker"):
            self._caretaker.join(10)
        super().stop()

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the run lasts."""
        self.over.wait(seconds)

    @property
    def urls_of_orders(self) -> list[str]:
        return [self.url("order-api"), f"http://127.0.0.1:{self.second_api}"]

    # Processes

    def usual(self, alias: str, **environment: str) -> ProcessSpec:
        """How a process of that name is run."""
        name = alias.removesuffix("-2").removesuffix("-3")
        settings: dict[str, str] = {}
        if alias in READ_ALONG:
            for server in (BROKER, DATABASE):
                settings |= self.through(name, self.open_line_of(alias, server), server)
        if alias == "order-api-2":
            settings |= {"WARREN_HTTP_PORT": str(self.second_api)}
        return self.process(name, as_name=None if alias == name else alias, **(settings | environment))

    def launch(self, alias: str, **environment: str) -> None:
        """Start a process that does not run; `environment` holds until it is launched with another."""
        with self._lock:
            self._extra[alias] = environment
            if alias not in self.processes.pids and not self.over.is_set():
                self.processes.start(self.usual(alias, **environment))

    @contextmanager
    def held_down(self, *aliases: str) -> Iterator[None]:
        """Whatever of these ends stays down for the length of the block; then the caretaker starts it."""
        with self._lock:
            self._held |= set(aliases)
        try:
            yield
        finally:
            with self._lock:
                self._held -= set(aliases)

    @contextmanager
    def configuration_is_wrong(self) -> Iterator[None]:
        """Processes that start meanwhile, or a moment later, may end with a configuration error."""
        self.excused += 1
        try:
            yield
        finally:
            threading.Timer(8, self._excuse_no_longer).start()

    def _excuse_no_longer(self) -> None:
        self.excused -= 1

    def slay(self, alias: str) -> None:
        """SIGKILL."""
        with suppress(KeyError):
            self.processes.kill(alias)

    def end(self, alias: str) -> int:
        """SIGTERM; returns the exit code."""
        return self.processes.stop(alias)

    def _care(self) -> None:
        while self._at_work.is_set():
            with self._lock, suppress(LocalError, OSError):
                self._look_around()
            time.sleep(STARTING_AGAIN)

    def _look_around(self) -> None:
        ended, running = self.processes.ended, self.processes.pids
        for alias in EVERYBODY:
            if alias in running or alias in self._held:
                continue
            code = ended.get(alias)
            if code is not None:
                self._judge(alias, code)
                self.processes.kill(alias)  # for the books: its end is known
            self.frozen.discard(alias)
            self.restarts += 1
            self.timeline.note("caretaker", f"starts {alias} again" + (f", exit code {code}" if code else ""))
            self.processes.start(self.usual(alias, **self._extra.get(alias, {})))

    def _judge(self, alias: str, code: int) -> None:
        if code in ALREADY_SAID or code == -9 or (code == os.EX_CONFIG and self.excused > 0):
            return
        words = self.said(alias).strip().splitlines()[-3:]
        self.strange.append(f"{alias} ended with {code} after {self.timeline.now:.0f} s: {' / '.join(words)}")

    # Lines

    def open_line_of(self, alias: str, server: str) -> OpenLine:
        with self._lock:
            if (alias, server) not in self._open:
                self._open[alias, server] = self.reading_line(server)
            return self._open[alias, server]

    def line_of(self, alias: str, server: str) -> Line:
        """The line that a process uses, of whichever kind."""
        return self.open_line_of(alias, server) if alias in READ_ALONG else self.line(alias, server)

    def lines_of(self, *aliases: str) -> list[Line]:
        return [self.line_of(alias, server) for alias in aliases for server in (BROKER, DATABASE)]

    # Secrets

    def new_password(self, folder: str) -> tuple[str, Callable[[], None]]:
        """A password that is not yet in the file where services look for it, and what writes it there."""
        file = self.secrets / folder / "password"
        new = remembered_secret(self.folder / "rotated" / f"{folder}-{time.monotonic_ns()}")

        def write() -> None:
            partial = file.with_suffix(".partial")
            partial.touch(mode=0o600)
            partial.write_text(new + "\n")
            partial.rename(file)

        return new, write

    # Mending

    def mend(self, seconds: float) -> None:
        """Everything whole again; returns when every queue has its consumers. Raises StartError if that fails."""
        self.disarm()
        self.lines.heal()
        self.thaw(*list(self.frozen))
        with self._lock:
            self._held.clear()
        deadline = time.monotonic() + seconds
        while self.missing() and time.monotonic() < deadline and not self.over.is_set():
            self.pause(0.3)
        if missing := self.missing():
            raise LocalError(f"Not whole {seconds:.0f} s after the last fault: {missing}.")

    def missing(self) -> str:
        """Which process or consumer is not there, "" when all are."""
        down = [alias for alias in EVERYBODY if alias not in self.processes.pids]
        if down:
            return f"{', '.join(down)} not running"
        consumers = self.consumers()
        expected = {f"{name.removesuffix('-worker')}.queue": 2 for name in CONSUMERS}
        expected |= dict.fromkeys(("notification.queue", "email.queue", "sms.queue"), 1)
        few = [queue for queue, count in expected.items() if consumers.get(queue, 0) < count]
        return f"consumers of {', '.join(few)}" if few else ""
