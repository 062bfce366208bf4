"""The whole system, set up so that anything in it can be broken and mended while it works.

Every service runs behind the launcher, so it can be told to die at a named point, and has two lines of its own, one to
each server. Leases, heartbeats and patience with the database are shortened: the mechanisms are the same, only their
waits are not.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest import mock

from devtools.local.system import System
from devtools.processes.supervisor import ProcessSpec
from devtools.servers.credentials import Certificates
from devtools.servers.rabbitmq import RabbitMQ
from faults.proxy import Line, Lines, OpenLine
from faults.server_admin import Office, eventually
from services.registry import PROCESSES
from warren.progress import ProgressReport

IMPATIENCE = {
    "FAULT_LEASE_SECONDS": "2",
    "FAULT_HEARTBEAT_SECONDS": "2",
    "FAULT_PATIENCE_SECONDS": "3",
    "FAULT_IDLE_SECONDS": "6",
}
OUTBOX_LIMIT = 30
"""With more events than this waiting for the broker, no order is taken."""
ENVIRONMENT = {
    "order-api": {"WARREN_OUTBOX_LIMIT": str(OUTBOX_LIMIT)},
    "order-worker": {"WARREN_DEADLINE_TICK_SECONDS": "0.3"},
    "payment": {"WARREN_GATEWAY_TIMEOUT_SECONDS": "1"},
    "shipping": {"WARREN_PREPARATION_SECONDS": "0.2", "WARREN_CARRIER_SECONDS": "0.2"},
}
BROKER, DATABASE = "broker", "database"
HASTE = "-rabbit quorum_tick_interval 500 -rabbit dead_letter_worker_publisher_confirm_timeout 1000"
"""Milliseconds: how often queues tell their lengths, how soon what a full parking lot refused is offered again."""


class Rig(Office, System):
    """`environment` adds settings by process name, as for System."""

    impatience: Mapping[str, str] = IMPATIENCE
    """How much sooner than in production waits end; see the launcher."""

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, Mapping[str, str]] = ENVIRONMENT,
        report: ProgressReport | None = None,
        on_line: Callable[[str, str], None] | None = None,
    ) -> None:
        System.__init__(self, folder, fresh=True, environment=environment, report=report, on_line=on_line)
        self.lines = Lines()
        Office.__init__(self, lambda: self.servers, self.lines.run)
        self._traps = folder / "traps"
        self._traps.mkdir(parents=True, exist_ok=True)
        self.frozen: set[str] = set()
        self._replicas: set[str] = set()

    def start(self) -> None:
        with mock.patch.object(RabbitMQ, "_environment", _hasty):
            super().start()
        self._started = time.monotonic()
        self.servers.broker._environment = partial(_hasty, self.servers.broker)  # type: ignore[method-assign]

    def stop(self) -> None:
        self.thaw(*self.frozen)
        super().stop()
        self.close_office()
        self.lines.close()

    # Processes

    def process(self, name: str, *, as_name: str | None = None, **environment: str) -> ProcessSpec:
        plain = super().process(name, as_name=as_name)
        settings = {**plain.env, **self.impatience}
        alias = as_name or name
        for server, variable in ((BROKER, "WARREN_BROKER_URL"), (DATABASE, "WARREN_DATABASE_URL")):
            old = self.port_of(server)
            settings[variable] = settings[variable].replace(f":{old}/", f":{self.line(alias, server).port}/")
        module_and_arguments = plain.argv[plain.argv.index("-m") + 1 :]
        argv = [sys.executable, "-m", "faults.launcher", str(self._traps / alias), *module_and_arguments]
        return replace(plain, argv=argv, env=settings | environment)

    def arm(self, name: str, point: str, nth: int = 1, number: signal.Signals = signal.SIGKILL) -> None:
        """Let a process send itself a signal when it comes to `point` for the nth time; see the launcher."""
        (self._traps / name).write_text(f"{point} {nth} {int(number)}")

    def sprung(self, name: str) -> bool:
        return not (self._traps / name).exists()

    def disarm_one(self, name: str) -> None:
        (self._traps / name).unlink(missing_ok=True)

    def disarm(self) -> None:
        for trap in self._traps.iterdir():
            trap.unlink(missing_ok=True)

    def replica(self, name: str, alias: str, **environment: str) -> None:
        """A further process of the same service, until everything is mended."""
        self._replicas.add(alias)
        self.processes.start(self.process(name, as_name=alias, **environment))

    def dies(self, name: str, seconds: float = 60) -> None:
        """Wait until a process has ended by itself."""
        eventually(lambda: name not in self.processes.pids, seconds, f"{name} lives on")
        self.processes.kill(name)  # for the books: its end was meant

    def revive(self, name: str, **environment: str) -> None:
        """Start a service that is not running, on the same ports."""
        self.processes.start(self.process(name, **environment))

    def renew(self, *names: str, **environment: str) -> None:
        """Stop services and start them with these settings instead of others."""
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(self.processes.stop, names))
        for name in names:
            self.revive(name, **environment)

    def crash_broker(self) -> None:
        """SIGKILL and start. One that has just declared a queue may forget what is in it: that is waited for."""
        time.sleep(max(0.0, self._started + 3 - time.monotonic()))
        self.servers.broker.restart(kill=True)

    def freeze(self, *names: str) -> None:
        """SIGSTOP: a process that is there and does nothing."""
        for name in names:
            os.kill(self.processes.pids[name], signal.SIGSTOP)
            self.frozen.add(name)

    def thaw(self, *names: str) -> None:
        for name in names:
            if pid := self.processes.pids.get(name):
                os.kill(pid, signal.SIGCONT)
            self.frozen.discard(name)

    def stands_still(self, name: str) -> bool:
        """Whether a process is stopped (SIGSTOP)."""
        pid = self.processes.pids[name]
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            return False
        self.frozen.add(name)
        return True

    def whole(self) -> None:
        """Everything mended: lines, processes, topology; returns when every queue has its consumers."""
        self.disarm()
        self.lines.heal()
        self.thaw(*list(self.frozen))
        for alias in self._replicas & self.processes.pids.keys():
            self.processes.stop(alias)
        self._replicas.clear()
        for name in PROCESSES:
            if name not in self.processes.pids:
                self.processes.kill(name)
                self.revive(name)
        self._wait_until_ready()

    def said(self, name: str) -> str:
        """The log of a process since it was started."""
        return self.processes.log_file(name).read_text()

    # Lines

    def port_of(self, server: str) -> int:
        return self.servers.broker.address.amqps_port if server == BROKER else self.servers.postgres.address.port

    def line(self, name: str, server: str) -> Line:
        return self.lines.line(f"{name} to {server}", self.port_of(server))

    def reading_line(self, server: str) -> OpenLine:
        """A line that sees frames, for one process that is told to use it."""
        authority = Certificates(self.folder / "certificates")
        kind = "amqp" if server == BROKER else "postgres"
        return self.lines.open_line(self.port_of(server), authority.server("line"), authority, kind)

    def through(self, name: str, line: OpenLine, server: str) -> dict[str, str]:
        """The setting that leads a process over a line."""
        variable = "WARREN_BROKER_URL" if server == BROKER else "WARREN_DATABASE_URL"
        url = super().process(name).env[variable]
        return {variable: url.replace(f":{self.port_of(server)}/", f":{line.port}/")}

    def restore_topology(self) -> None:
        """Bring the broker to what the topology files say, as `python -m broker_topology apply` does."""
        asyncio.run(self._apply_topology())


def _hasty(broker: RabbitMQ) -> dict[str, str]:
    environment = _usual(broker)
    environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += f" {HASTE}"
    return environment


_usual = RabbitMQ._environment
