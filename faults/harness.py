"""The whole system, set up so that any part of it can be broken and repaired while it works.

Every service runs behind the launcher, so that it can be killed at a failpoint, and reaches each of its two servers
through a proxy of its own. Leases, heartbeats and timeouts are shorter than in production; the mechanisms are the same.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock
from uuid import UUID

import psutil

from devtools.local.system import System
from devtools.processes.supervisor import ProcessSpec
from devtools.servers.credentials import Certificates
from devtools.servers.rabbitmq import RabbitMQ
from faults.broker_admin import BrokerAdmin
from faults.database_admin import DatabaseAdmin
from faults.proxy import FaultProxy, FrameProxy, Proxies
from services.registry import PROCESSES
from warren.progress import ProgressReport
from warren.provision.authority import CERTIFICATE_DAYS

SHORT_TIMEOUTS = {
    "FAULT_LEASE_SECONDS": "2",
    "FAULT_HEARTBEAT_SECONDS": "2",
    "FAULT_TIMEOUT_SECONDS": "3",
    "FAULT_IDLE_SECONDS": "6",
}
OUTBOX_LIMIT = 30
"""The order API answers 503 while more events than this are in its outbox."""
ENVIRONMENT = {
    "order-api": {"WARREN_OUTBOX_LIMIT": str(OUTBOX_LIMIT)},
    "order-worker": {"WARREN_DEADLINE_TICK_SECONDS": "0.3"},
    "payment": {"WARREN_GATEWAY_TIMEOUT_SECONDS": "1"},
    "shipping": {"WARREN_PREPARATION_SECONDS": "0.2", "WARREN_CARRIER_SECONDS": "0.2"},
}
BROKER, DATABASE = "broker", "database"
URL_SETTING = {BROKER: "WARREN_BROKER_URL", DATABASE: "WARREN_DATABASE_URL"}
REPEATED = "delivery repeated"
"""The log line of a consumer about an event that its inbox knows."""
FAST_BROKER_TIMERS = "-rabbit quorum_tick_interval 500 -rabbit dead_letter_worker_publisher_confirm_timeout 1000"
"""Milliseconds: how often queues report their depth, how soon a message that a full parking lot refused is retried."""


class FaultHarness(BrokerAdmin, DatabaseAdmin, System):
    """`environment` and `traces` are those of System."""

    timeouts: Mapping[str, str] = SHORT_TIMEOUTS
    """Settings of the launcher for every process."""

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, Mapping[str, str]] = ENVIRONMENT,
        traces: bool = False,
        report: ProgressReport | None = None,
        on_line: Callable[[str, str], None] | None = None,
        prometheus: bool = False,
    ) -> None:
        System.__init__(
            self,
            folder,
            fresh=True,
            environment=environment,
            report=report,
            on_line=on_line,
            traces=traces,
            prometheus=prometheus,
        )
        self.proxies = Proxies()
        DatabaseAdmin.__init__(self, self.proxies.run)
        self._failpoints = folder / "failpoints"
        self._failpoints.mkdir(parents=True, exist_ok=True)
        self.frozen: set[str] = set()
        self._replicas: set[str] = set()

    def start(self) -> None:
        with mock.patch.object(RabbitMQ, "_environment", _with_fast_timers):
            super().start()
        self._started = time.monotonic()
        broker = self.servers.broker
        broker._environment = partial(_with_fast_timers, broker)  # type: ignore[method-assign]

    def stop(self) -> None:
        self.thaw(*self.frozen)
        super().stop()
        self.close_management_client()
        self.close_database_connection()
        self.proxies.close()

    # Processes

    def process(self, name: str, *, as_name: str | None = None, **environment: str) -> ProcessSpec:
        """The command that runs a service behind the launcher and its proxies."""
        direct = super().process(name, as_name=as_name)
        settings = {**direct.env, **self.timeouts}
        alias = as_name or name
        for server, setting in URL_SETTING.items():
            port = self.proxy(alias, server).port
            settings[setting] = settings[setting].replace(f":{self.server_port(server)}/", f":{port}/")
        module_and_arguments = direct.argv[direct.argv.index("-m") + 1 :]
        argv = [sys.executable, "-m", "faults.launcher", str(self._failpoints / alias), *module_and_arguments]
        return replace(direct, argv=argv, env=settings | environment)

    def set_failpoint(self, name: str, point: str, nth: int = 1, number: signal.Signals = signal.SIGKILL) -> None:
        """Let a process send itself a signal when it reaches `point` for the nth time; see the launcher."""
        (self._failpoints / name).write_text(f"{point} {nth} {int(number)}")

    def failpoint_hit(self, name: str) -> bool:
        return not (self._failpoints / name).exists()

    def clear_failpoint(self, name: str) -> None:
        (self._failpoints / name).unlink(missing_ok=True)

    def start_replica(self, name: str, alias: str, **environment: str) -> None:
        """Start a further process of a service; `repair` stops it."""
        self._replicas.add(alias)
        self.processes.start(self.process(name, as_name=alias, **environment))

    def wait_for_exit(self, name: str, seconds: float = 60) -> None:
        """Wait until a process has ended by itself, as expected."""
        eventually(lambda: name not in self.processes.pids, seconds, f"{name} still runs")
        self.processes.kill(name)  # tells the supervisor that the exit was expected

    def start_service(self, name: str, **environment: str) -> None:
        """Start a service that is not running, on the same ports."""
        self.processes.start(self.process(name, **environment))

    def restart_services(self, *names: str, **environment: str) -> None:
        """Stop services and start them with these settings added."""
        with ThreadPoolExecutor(len(names)) as pool:
            list(pool.map(self.processes.stop, names))
        for name in names:
            self.start_service(name, **environment)

    def crash_broker(self) -> None:
        """Kill and start the broker, not before three seconds after its start.

        A broker that has just declared a queue may lose the queue's messages in a crash.
        """
        time.sleep(max(0.0, self._started + 3 - time.monotonic()))
        self.servers.broker.restart(kill=True)

    def freeze(self, *names: str) -> None:
        """Send SIGSTOP: the process stays and does nothing."""
        for name in names:
            os.kill(self.processes.pids[name], signal.SIGSTOP)
            self.frozen.add(name)

    def thaw(self, *names: str) -> None:
        for name in names:
            if pid := self.processes.pids.get(name):
                os.kill(pid, signal.SIGCONT)
            self.frozen.discard(name)

    def is_frozen(self, name: str) -> bool:
        """Whether SIGSTOP has taken effect on a process."""
        pid = self.processes.pids[name]
        if psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            return False
        self.frozen.add(name)
        return True

    def undo_faults(self) -> None:
        """Clear failpoints, heal proxies, and continue frozen processes."""
        for failpoint in self._failpoints.iterdir():
            failpoint.unlink(missing_ok=True)
        self.proxies.heal()
        self.thaw(*list(self.frozen))

    def repair(self) -> None:
        """Undo every fault of proxies and processes; returns when every service is ready."""
        self.undo_faults()
        for alias in self._replicas & self.processes.pids.keys():
            self.processes.stop(alias)
        self._replicas.clear()
        for name in PROCESSES:
            if name not in self.processes.pids:
                self.processes.kill(name)
                self.start_service(name)
        self._wait_until_ready()

    def log(self, name: str) -> str:
        """Return the log of a process since it was started."""
        return self.processes.log_file(name).read_text()

    def wait_for_state(self, order_id: UUID, state: str, seconds: float = 60) -> None:
        """Wait until an order has a state."""
        found = f"id = '{order_id}' AND state = '{state}'"
        eventually(lambda: self.count_orders(found), seconds, f"order {order_id} is not {state}")

    # Proxies

    def server_port(self, server: str) -> int:
        return self.servers.broker.endpoints.amqps_port if server == BROKER else self.servers.postgres.endpoint.port

    def proxy(self, name: str, server: str) -> FaultProxy:
        """The proxy between a process and one of the two servers."""
        return self.proxies.proxy(f"{name} to {server}", self.server_port(server))

    def frame_proxy(self, server: str, *, expired: bool = False) -> FrameProxy:
        """Start a proxy that can drop frames, with a valid or an expired certificate, for use with `settings_via`."""
        authority = Certificates(self.folder / "certificates")
        past = datetime.now(UTC) - timedelta(days=CERTIFICATE_DAYS + 1)
        certificate = authority.server("expired", past) if expired else authority.server("proxy")
        return self.proxies.frame_proxy(
            self.server_port(server), certificate, authority.ca_file, postgres=server == DATABASE
        )

    def settings_via(self, name: str, proxy: FaultProxy, server: str) -> dict[str, str]:
        """The setting that makes a process connect through `proxy`."""
        setting = URL_SETTING[server]
        url = super().process(name).env[setting]
        return {setting: url.replace(f":{self.server_port(server)}/", f":{proxy.port}/")}

    def restore_topology(self) -> None:
        """Apply the topology files again, as `broker-topology apply` does."""
        asyncio.run(self._apply_topology())


def eventually(holds: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    """Wait until `holds` returns a true value; raises AssertionError with `what` when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(what or f"still not so after {seconds} s")
        time.sleep(0.05)


_original_environment = RabbitMQ._environment


def _with_fast_timers(broker: RabbitMQ) -> dict[str, str]:
    environment = _original_environment(broker)
    environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] += f" {FAST_BROKER_TIMERS}"
    return environment
