"""Prometheus and the exporter of PostgreSQL's metrics, for the servers and services of one instance."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from devtools.errors import LocalError
from devtools.paths import CHECKOUT
from devtools.ports import LOOPBACK, remembered_ports
from devtools.servers.postgres_exporter import PostgresExporter
from devtools.servers.prometheus import PORT, Prometheus, ScrapeJob
from devtools.servers.runtime import monitoring_runtimes
from devtools.servers.server import Server, start_all, stop_all
from devtools.servers.servers import Servers
from warren.progress import ProgressReport

RULES = CHECKOUT / "charts" / "warren" / "rules"
QUEUE_FAMILIES = ("queue_coarse_metrics", "queue_consumer_count")
"""The metrics of each queue that RabbitMQ returns at /metrics/detailed; the chart asks for the same."""
LABELS = {"namespace": "local"}
"""Labels of every series, as Kubernetes would add them."""


class Monitoring:
    """Both for the instance in `instance_dir`. `prepare` chooses where they run, before anything is started.

    No process of them outlives this process.
    """

    def __init__(self, instance_dir: Path, report: ProgressReport, *, fresh: bool = False) -> None:
        self._instance_dir = instance_dir
        self._report = report
        self._fresh = fresh
        self.further_jobs: list[ScrapeJob] = []
        """Of processes beside those that `start` gets; filled before it is called."""

    def prepare(self) -> None:
        """Build the private root or pull the images if necessary. Raises LocalError, which names the way without."""
        self._instance_dir.mkdir(parents=True, exist_ok=True)
        try:
            self._runtimes = monitoring_runtimes(self._instance_dir, self._report)
        except LocalError as error:
            raise LocalError(f"{error}\nTo start without Prometheus: warren up --no-prometheus") from error

    def start(self, servers: Servers, services: Mapping[str, int], vhost: str) -> None:
        """Start both in parallel. `services` maps each process to the port of its metrics. Raises LocalError."""
        ports = remembered_ports(
            self._instance_dir / "monitoring-ports.json", ("prometheus", "exporter"), preferred={"prometheus": PORT}
        )
        prometheus, exporter = self._runtimes
        self.exporter = PostgresExporter(exporter, self._instance_dir, ports["exporter"], servers.postgres.endpoint)
        self.prometheus = Prometheus(
            prometheus,
            self._instance_dir,
            ports["prometheus"],
            [*scrape_jobs(servers, services, ports["exporter"], vhost), *self.further_jobs],
            [RULES],
            labels=LABELS,
        )
        if self._fresh:
            self.prometheus.erase()
        try:
            start_all(self.all)
        except BaseException:
            self._release()
            raise

    @property
    def all(self) -> tuple[Server, ...]:
        """Both servers; empty before `start`."""
        return (self.prometheus, self.exporter) if hasattr(self, "prometheus") else ()

    def stop(self) -> None:
        """Shut both down."""
        if self.all:
            stop_all(self.all)
            self._release()

    def _release(self) -> None:
        for server in self.all:
            server.release()


def scrape_jobs(servers: Servers, services: Mapping[str, int], exporter_port: int, vhost: str) -> list[ScrapeJob]:
    """Return the jobs for every service, the broker and the database. The ports stay when a process restarts."""
    broker = servers.broker.endpoints
    metrics = urlsplit(broker.metrics_url)
    return [
        ScrapeJob("warren", {f"{LOOPBACK}:{port}": {"service": name} for name, port in services.items()}),
        ScrapeJob("rabbitmq", {metrics.netloc: {}}, metrics.path, ca_file=broker.ca_file),
        ScrapeJob(
            "rabbitmq-detailed",
            {metrics.netloc: {}},
            f"{metrics.path}/detailed",
            {"family": QUEUE_FAMILIES, "vhost": [vhost]},
            broker.ca_file,
        ),
        ScrapeJob("postgresql", {f"{LOOPBACK}:{exporter_port}": {}}),
    ]
