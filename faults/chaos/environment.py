"""The system under chaos: two replicas of most processes, and a thread that restarts processes that have ended.

The restarts stand for Kubernetes. The thread does not know of faults: it starts every process that has ended, except
those that a fault keeps down. An exit that no fault explains is recorded as a defect.
"""

import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from devtools.errors import LocalError
from devtools.ports import remembered_ports
from devtools.processes.supervisor import ProcessSpec
from faults.chaos.fault_kinds import ALL_PROCESSES, CONSUMERS, FRAME_PROXIED
from faults.chaos.timeline import Timeline
from faults.chaos.workload import opening_stock
from faults.harness import BROKER, DATABASE, FaultHarness
from faults.proxy import FaultProxy, FrameProxy
from warren.progress import ProgressReport
from warren.provision.folder_store import FolderStore

PAYMENT_DEADLINE = 60.0  # seconds
ENVIRONMENT = {
    "*": {"WARREN_SHUTDOWN_SECONDS": "8"},  # less than the grace period that follows SIGTERM
    "order-api": {"WARREN_OUTBOX_LIMIT": "150"},
    "order-worker": {"WARREN_DEADLINE_TICK_SECONDS": "0.5"},
    "payment": {"WARREN_GATEWAY_TIMEOUT_SECONDS": "1"},
    "shipping": {"WARREN_PREPARATION_SECONDS": "0.4", "WARREN_CARRIER_SECONDS": "0.4"},
}
# Longer than in the fault tests: sixteen processes share a few cores and must not time out for that.
TIMEOUTS = {"FAULT_LEASE_SECONDS": "5", "FAULT_HEARTBEAT_SECONDS": "3", "FAULT_TIMEOUT_SECONDS": "10"}
RESTART_INTERVAL = 0.3  # seconds
EXPECTED_EXITS = {0, 69, -9}
"""0: orderly stop; 69: a server was unavailable when the process started; -9: SIGKILL."""
CONFIGURATION_GRACE = 8  # seconds
RESTARTS = "restarted processes"
KILLED = "processes killed after the grace period"


class ChaosEnvironment(FaultHarness):
    timeouts = TIMEOUTS

    def __init__(self, folder: Path, timeline: Timeline, report: ProgressReport, payment_deadline: float) -> None:
        stock = folder / "opening-stock.json"
        stock.write_bytes(msgspec.json.encode(opening_stock()))
        api = ENVIRONMENT["order-api"] | {"WARREN_PAYMENT_DEADLINE_SECONDS": str(payment_deadline)}
        environment = ENVIRONMENT | {"order-api": api, "inventory": {"WARREN_OPENING_STOCK_FILE": str(stock)}}
        super().__init__(folder, environment=environment, report=report, on_line=timeline.write)
        self.timeline = timeline
        self.stopping = threading.Event()
        """Set when the run ends: every wait returns."""
        self.unexpected_exits: list[str] = []
        """Exits that no fault explains."""
        self.counts: Counter[str] = Counter()
        self.replays: Counter[str] = Counter()
        self._configuration_faults = 0
        """Faults under way that make a process exit with a configuration error."""
        self._kept_down: set[str] = set()
        self._extra_settings: dict[str, dict[str, str]] = {}
        self._frame_proxies: dict[tuple[str, str], FrameProxy] = {}
        self._lock = threading.RLock()
        self._restarting = threading.Event()

    def start(self) -> None:
        super().start()
        self.second_api = remembered_ports(self.folder / "second-api.json", ("order-api-2",))["order-api-2"]
        for alias in ALL_PROCESSES:
            if alias.endswith("-2"):
                self.processes.start(self.process_of(alias))
        self._wait_until_ready()
        self._restarting.set()
        self._restarter = threading.Thread(target=self._keep_restarting, name="restarts", daemon=True)
        self._restarter.start()

    def stop(self) -> None:
        self._restarting.clear()
        self.stopping.set()
        if hasattr(self, "_restarter"):
            self._restarter.join(10)
        super().stop()

    def pause(self, seconds: float) -> None:
        """Wait, but not past the end of the run."""
        self.stopping.wait(seconds)

    @property
    def order_urls(self) -> list[str]:
        return [self.url("order-api"), f"http://127.0.0.1:{self.second_api}"]

    # Processes

    def process_of(self, alias: str, **environment: str) -> ProcessSpec:
        """The command of a replica; the aliases of the second and third one end in -2 and -3."""
        name = alias.removesuffix("-2").removesuffix("-3")
        settings: dict[str, str] = {}
        if alias in FRAME_PROXIED:
            for server in (BROKER, DATABASE):
                settings |= self.settings_via(name, self.frame_proxy_of(alias, server), server)
        if alias == "order-api-2":
            settings |= {"WARREN_HTTP_PORT": str(self.second_api)}
        return self.process(name, as_name=None if alias == name else alias, **(settings | environment))

    def launch(self, alias: str, **environment: str) -> None:
        """Start a process that does not run; restarts use the same `environment` until the next launch."""
        with self._lock:
            self._extra_settings[alias] = environment
            if alias not in self.processes.pids and not self.stopping.is_set():
                self.processes.start(self.process_of(alias, **environment))

    @contextmanager
    def kept_down(self, *aliases: str) -> Iterator[None]:
        """Restart none of these processes within the block."""
        with self._lock:
            self._kept_down |= set(aliases)
        try:
            yield
        finally:
            with self._lock:
                self._kept_down -= set(aliases)

    @contextmanager
    def configuration_errors_expected(self) -> Iterator[None]:
        """Expect configuration errors of processes that start within the block or shortly after."""
        self._configuration_faults += 1
        try:
            yield
        finally:
            threading.Timer(CONFIGURATION_GRACE, self._end_configuration_fault).start()

    def _end_configuration_fault(self) -> None:
        self._configuration_faults -= 1

    def kill(self, alias: str) -> None:
        with suppress(KeyError):
            self.processes.kill(alias)

    def _keep_restarting(self) -> None:
        while self._restarting.is_set():
            with self._lock, suppress(LocalError, OSError):
                self._restart_ended()
            time.sleep(RESTART_INTERVAL)

    def _restart_ended(self) -> None:
        ended, running = self.processes.ended, self.processes.pids
        for alias in ALL_PROCESSES:
            if alias in running or alias in self._kept_down:
                continue
            code = ended.get(alias)
            if code is not None:
                self._check_exit(alias, code)
                self.processes.kill(alias)  # tells the supervisor that the exit is known
            self.frozen.discard(alias)
            self.counts[RESTARTS] += 1
            self.timeline.write("restarts", f"{alias} is started again" + (f", exit code {code}" if code else ""))
            self.processes.start(self.process_of(alias, **self._extra_settings.get(alias, {})))

    def _check_exit(self, alias: str, code: int) -> None:
        if code in EXPECTED_EXITS or (code == os.EX_CONFIG and self._configuration_faults > 0):
            return
        last_lines = " / ".join(self.log(alias).strip().splitlines()[-3:])
        self.unexpected_exits.append(f"{alias} ended with {code} after {self.timeline.now:.0f} s: {last_lines}")

    # Proxies

    def frame_proxy_of(self, alias: str, server: str) -> FrameProxy:
        with self._lock:
            if (alias, server) not in self._frame_proxies:
                self._frame_proxies[alias, server] = self.frame_proxy(server)
            return self._frame_proxies[alias, server]

    def proxy_of(self, alias: str, server: str) -> FaultProxy:
        """The proxy that a process uses, of either kind."""
        return self.frame_proxy_of(alias, server) if alias in FRAME_PROXIED else self.proxy(alias, server)

    def proxies_of(self, alias: str) -> list[FaultProxy]:
        return [self.proxy_of(alias, server) for server in (BROKER, DATABASE)]

    # Secrets

    def new_password(self, folder: str) -> tuple[str, Callable[[], None]]:
        """Return a new password, and the function that writes it to the file that services read."""
        new = secrets.token_urlsafe(24)
        return new, partial(FolderStore(self.secrets).replace, folder, {"password": new.encode()})

    # Recovery

    def recover(self, seconds: float) -> None:
        """Undo every fault; returns when every queue has its consumers. Raises LocalError if that takes longer."""
        self.undo_faults()
        with self._lock:
            self._kept_down.clear()
        deadline = time.monotonic() + seconds
        while self.missing() and time.monotonic() < deadline and not self.stopping.is_set():
            self.pause(0.3)
        if missing := self.missing():
            raise LocalError(f"Not recovered {seconds:.0f} s after the last fault: {missing}.")

    def missing(self) -> str:
        """Describe the processes or consumers that are missing; "" when all are there."""
        down = [alias for alias in ALL_PROCESSES if alias not in self.processes.pids]
        if down:
            return f"{', '.join(down)} not running"
        consumers = self.consumers()
        expected = {f"{name.removesuffix('-worker')}.queue": 2 for name in CONSUMERS}
        expected |= dict.fromkeys(("notification.queue", "email.queue", "sms.queue"), 1)
        short = [queue for queue, count in expected.items() if consumers.get(queue, 0) < count]
        return f"consumers of {', '.join(short)}" if short else ""
