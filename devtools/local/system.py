"""The whole system on this machine: servers, topology, tables, sinks, and a process for each service.

`warren up`, `warren demo`, the system tests and the load tests all use it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import broker_topology
from devtools.errors import LocalError
from devtools.local import topology
from devtools.local.topology import TOPOLOGY, VHOST
from devtools.local.watch import RestartWatch, ServicePart, WatchedPart
from devtools.paths import CHECKOUT
from devtools.ports import remembered_ports
from devtools.processes.supervisor import ProcessSpec, Supervisor
from devtools.servers.credentials import Certificates, load_or_create_secret
from devtools.servers.endpoints import service_settings
from devtools.servers.monitoring import Monitoring
from devtools.servers.server import Server
from devtools.servers.servers import Servers
from services.migrate import SCHEMAS
from services.registry import HTTP_PROCESSES, PROCESSES, QUEUES
from services.shared.chassis.migrations import MigrationError, prepare_database
from warren.http import NoResponse, basic_auth, request
from warren.progress import ProgressReport

READY_SECONDS = 180.0
METRICS = "metrics of "


class StartError(LocalError):
    """The system could not start; the message says which part and why."""


class System:
    """Entering starts everything and waits until every service is ready; leaving stops everything.

    `environment` adds settings by process name, or "*" for all. `http_port` 0 takes a free port for the order API. With
    `fresh` it starts with empty databases and queues. With `traces` the services send all spans to a trace store beside
    the sinks, with `prometheus` Prometheus scrapes every part. Raises LocalError.
    """

    def __init__(
        self,
        folder: Path,
        *,
        report: ProgressReport | None = None,
        on_line: Callable[[str, str], None] | None = None,
        fresh: bool = False,
        http_port: int = 0,
        traces: bool = False,
        environment: Mapping[str, Mapping[str, str]] | None = None,
        prometheus: bool = False,
    ) -> None:
        self.folder = folder
        self.servers = Servers(folder, report=report, fresh=fresh)
        self.processes = Supervisor(folder / "logs" / "services", on_line)
        self.secrets = folder / "secrets"
        self._report = report or ProgressReport(quiet=True)
        self.monitoring = Monitoring(folder, self._report, fresh=fresh) if prometheus else None
        self._http_port = http_port
        self._traces = traces
        self._environment = environment or {}
        self._ports: dict[str, int] = {}
        self._topologies: list[broker_topology.LoadedTopology] = []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self._topologies = topology.load(TOPOLOGY)
        if self.monitoring:
            self.monitoring.prepare()
        self.servers.start()
        purposes = [*HTTP_PROCESSES, "mail", "sms", "traces", *map(_metrics, PROCESSES)]
        self._ports = remembered_ports(self.folder / "http-ports.json", purposes)
        if self._http_port:
            self._ports["order-api"] = self._http_port
        with self._report.step("Creating tables and topology"):
            asyncio.run(self._prepare())
        with self._report.step("Starting services"):
            self.processes.start(self._sinks())
            for name in PROCESSES:
                self.processes.start(self.process(name))
            if self.monitoring:
                self.monitoring.start(self.servers, {name: self._ports[_metrics(name)] for name in PROCESSES}, VHOST)
            self._wait_until_ready()

    def stop(self) -> None:
        """Stop the services, which finish their work in progress, then the servers."""
        self.processes.stop_all()
        if self.monitoring:
            self.monitoring.stop()
        if hasattr(self.servers, "broker"):
            self.servers.stop()

    def check(self) -> None:
        """Raises LocalError if a service or a server has ended unexpectedly."""
        self.processes.check()
        for server in self._servers:
            if failure := server.failure():
                raise failure

    def watch(self, announce: Callable[[str], None], changed: Callable[[], None]) -> RestartWatch:
        """Return the watch that restarts services and servers that end unexpectedly."""
        parts: dict[str, WatchedPart] = {server.name: server for server in self._servers}
        parts |= {name: ServicePart(self.processes, name) for name in self.processes.names}
        return RestartWatch(parts, self.folder, announce, changed)

    @property
    def names(self) -> list[str]:
        """The names of all servers and services, running or not."""
        return [*(server.name for server in self._servers), *self.processes.names]

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of running servers and services, by name."""
        servers = {server.name: server.pid for server in self._servers if server.pid is not None}
        return servers | self.processes.pids

    @property
    def _servers(self) -> list[Server]:
        return [*self.servers.all, *(self.monitoring.all if self.monitoring else ())]

    @property
    def urls(self) -> dict[str, str]:
        """All URLs by name; the name of a metrics URL is `METRICS` and the process."""
        broker, database = self.servers.broker.endpoints, self.servers.postgres.endpoint
        return {
            "orders": f"{self.url('order-api')}/orders",
            "API document": f"{self.url('order-api')}/schema/openapi.json",
            "stock": f"{self.url('inventory')}/stock",
            "audit": f"{self.url('audit')}/audit/events",
            "sent mail and SMS": f"http://127.0.0.1:{self._ports['sms']}/messages",
            **({"traces": f"{self.traces_url}/api/services"} if self._traces else {}),
            "AMQP": f"amqps://{broker.host}:{broker.amqps_port}/{VHOST}",
            "PostgreSQL": database.url(),
            **({"Prometheus": self.monitoring.prometheus.api.url} if self.monitoring else {}),
            "RabbitMQ": broker.management_url,
        } | {f"{METRICS}{name}": f"{self.metrics_url(name)}/metrics" for name in PROCESSES}

    def url(self, process: str) -> str:
        """Return the base URL of a process with HTTP."""
        return f"http://127.0.0.1:{self._ports[process]}"

    def metrics_url(self, process: str) -> str:
        """Return the base URL of /livez, /readyz and /metrics of a process."""
        return f"http://127.0.0.1:{self._ports[_metrics(process)]}"

    @property
    def traces_url(self) -> str:
        """The base URL of the trace store, which takes OTLP over HTTP and answers Jaeger's query API."""
        return f"http://127.0.0.1:{self._ports['traces']}"

    def broker_login(self, user: str) -> tuple[str, str]:
        """Return name and password of a user of the topology."""
        folder = self.secrets / f"{user}-rabbitmq"
        return (folder / "username").read_text().strip(), (folder / "password").read_text().strip()

    def process(self, name: str, *, as_name: str | None = None, **environment: str) -> ProcessSpec:
        """Return the command of a process; with `as_name`, of a further replica on other ports."""
        module, *arguments = PROCESSES[name]
        settings = self._settings(name) | dict(self._environment.get("*", {})) | dict(self._environment.get(name, {}))
        if as_name is not None:
            settings |= {"WARREN_HTTP_PORT": "0", "WARREN_METRICS_PORT": "0"}
        return ProcessSpec(
            as_name or name, [sys.executable, "-m", module, *arguments], settings | environment, CHECKOUT
        )

    def _settings(self, name: str) -> dict[str, str]:
        broker, database = self.servers.broker.endpoints, self.servers.postgres.endpoint
        service = name.split("-", maxsplit=1)[0]
        settings = service_settings(
            service,
            self.secrets,
            database.ca_file,
            database=f"{database.host}:{database.port}/{database.database}",
            broker=f"{broker.host}:{broker.amqps_port}/{VHOST}",
        )
        settings["WARREN_METRICS_PORT"] = str(self._ports[_metrics(name)])
        if self._traces:
            settings |= {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.traces_url,
                "OTEL_TRACES_SAMPLER_ARG": "1",  # every trace
                "OTEL_BSP_SCHEDULE_DELAY": "500",  # milliseconds: `warren trace` follows an order at once
            }
        if name in self._ports:
            # `local` trusts the user that a request names; on loopback only.
            settings |= {"WARREN_HTTP_PORT": str(self._ports[name]), "WARREN_AUTH": "local"}
        match name:
            case "inventory":
                settings["WARREN_OPENING_STOCK_FILE"] = str(CHECKOUT / "services" / "inventory" / "opening_stock.json")
            case "payment":
                settings["WARREN_GATEWAY_DATABASE_PASSWORD_FILE"] = str(self.secrets / "gateway-postgres" / "password")
            case "shipping":
                # Time to cancel a paid order, and a simulated carrier.
                settings |= {"WARREN_PREPARATION_SECONDS": "1", "WARREN_CARRIER_SECONDS": "1"}
            case "notification":
                settings["WARREN_CONTACT_DOMAIN"] = "customers.example"
            case "email":
                settings |= {
                    "WARREN_SMTP_HOST": "127.0.0.1",
                    "WARREN_SMTP_PORT": str(self._ports["mail"]),
                    "WARREN_SMTP_CA_FILE": str(broker.ca_file),
                }
            case "sms":
                settings["WARREN_SMS_URL"] = f"http://127.0.0.1:{self._ports['sms']}/messages"
        return settings

    def _sinks(self) -> ProcessSpec:
        certificate = Certificates(self.folder / "certificates").server("mail")
        arguments = ["--mail-port", str(self._ports["mail"]), "--sms-port", str(self._ports["sms"])]
        if self._traces:
            arguments += ["--traces-port", str(self._ports["traces"])]
        arguments += ["--folder", str(self.folder / "sent")]
        arguments += ["--certificate", str(certificate.chain_file), "--key", str(certificate.key_file)]
        return ProcessSpec(
            "sinks", [sys.executable, "-m", "warren.sinks", *arguments], self._environment.get("*", {}), CHECKOUT
        )

    async def _prepare(self) -> None:
        try:
            # Wait for both before raising an error of one: the loop must not close while the other runs.
            for error in await asyncio.gather(self._migrate(), self._apply_topology(), return_exceptions=True):
                if error is not None:
                    raise error
        except (MigrationError, broker_topology.TopologyError) as error:
            raise StartError(str(error)) from error

    async def _migrate(self) -> None:
        database = self.servers.postgres.endpoint
        for schema in SCHEMAS:
            load_or_create_secret(self.secrets / f"{schema}-postgres" / "password")
        schemas = list(SCHEMAS.values())
        await prepare_database(database.url(), database.admin_password, database.ca_file, self.secrets, schemas)

    async def _apply_topology(self) -> None:
        async with self.servers.broker.endpoints.management_api() as api:
            await topology.apply(self._topologies, api, self.secrets, self._report.status)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        waiting = "services"
        while time.monotonic() < deadline:
            self.check()
            waiting = self._not_ready()
            if not waiting:
                return
            time.sleep(0.1)
        raise StartError(f"Not ready after {READY_SECONDS:.0f} s: {waiting}. Logs: {self.folder / 'logs'}")

    def _not_ready(self) -> str:
        """Return which service is not ready and why; "" if all are."""
        for name in PROCESSES:
            try:
                response = request("GET", f"{self.metrics_url(name)}/readyz", timeout=5)
            except NoResponse:
                return f"{name} does not respond"
            if response.is_error:
                return f"{name}: {response.body.decode().strip()}"
        return ""

    def consumers(self) -> dict[str, int]:
        """Return the number of consumers of each queue, from the broker."""
        with suppress(ValueError, NoResponse):
            found = json.loads(self.management(f"queues/{VHOST}?disable_stats=true&enable_queue_totals=true"))
            detailed = json.loads(self.management(f"consumers/{VHOST}"))
            counts = {queue["name"]: 0 for queue in found}
            for consumer in detailed:
                counts[consumer["queue"]["name"]] += 1
            return counts
        return dict.fromkeys(QUEUES, 0)

    def management(self, path: str) -> bytes:
        """Send a GET request to the management API as the administrator. Raises NoResponse."""
        broker = self.servers.broker.endpoints
        login = basic_auth(*broker.login)
        response = request("GET", f"{broker.management_url}/api/{path}", headers=login, ca_file=broker.ca_file)
        if response.is_error:
            raise NoResponse(f"{response.url} answered {response.status}")
        return response.body


def _metrics(process: str) -> str:
    return f"{process} metrics"
