"""The whole system with Prometheus and the rules, for the tests that raise each alert by its fault."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

import httpx
import pytest

from devtools.local.topology import VHOST
from devtools.paths import instance_dir
from devtools.ports import LOOPBACK, remembered_ports
from devtools.servers.monitoring import scrape_jobs
from devtools.servers.postgres_exporter import PostgresExporter
from devtools.servers.prometheus import ScrapeJob, running_prometheus
from devtools.servers.runtime import monitoring_runtimes
from faults.harness import FaultHarness
from services.registry import PROCESSES
from tests.rules.shortened import INTERVAL, write_shortened
from tests.rules.watched_shop import AlertWatch, WatchedShop
from tests.servers import remove_instance
from warren.progress import ProgressReport

ENVIRONMENT = {
    "order-api": {"WARREN_OUTBOX_LIMIT": "100"},
    "order-worker": {"WARREN_DEADLINE_TICK_SECONDS": "0.3"},
    "shipping": {"WARREN_PREPARATION_SECONDS": "0.2", "WARREN_CARRIER_SECONDS": "0.2"},
}


@pytest.fixture(scope="session")
def shop() -> Iterator[WatchedShop]:
    folder = instance_dir(f"rules-{os.getpid()}")
    with FaultHarness(folder, environment=ENVIRONMENT) as harness:
        ports = remembered_ports(folder / "rules-ports.json", ("replica", "exporter"))
        _, runtime = monitoring_runtimes(folder, ProgressReport(quiet=True))
        exporter = PostgresExporter(runtime, folder, ports["exporter"], harness.servers.postgres.endpoint)
        exporter.start()
        try:
            services = {name: int(harness.metrics_url(name).rpartition(":")[2]) for name in PROCESSES}
            jobs = {job.name: job for job in scrape_jobs(harness.servers, services, ports["exporter"], VHOST)}
            broker_port = int(next(iter(jobs["rabbitmq"].targets)).rpartition(":")[2])
            node = harness.proxies.proxy("metrics of a second node", broker_port)
            jobs["rabbitmq"] = _with_target(jobs["rabbitmq"], node.port, {})
            jobs["warren"] = _with_target(jobs["warren"], ports["replica"], {"service": "sms"})
            rules = write_shortened(folder / "shortened-rules")
            labels = {"namespace": "shop"}
            with (
                running_prometheus(folder, list(jobs.values()), rules, labels=labels, interval=INTERVAL) as prometheus,
                httpx.Client(base_url=harness.url("order-api"), timeout=30) as client,
            ):
                alerts = AlertWatch(prometheus.api)
                shop = WatchedShop(harness, prometheus, alerts, node, ports["replica"], client)
                shop.start_replica()
                prometheus.wait_until_up()
                yield shop
        finally:
            exporter.stop()
            exporter.release()
    remove_instance(folder)


def _with_target(job: ScrapeJob, port: int, labels: Mapping[str, str]) -> ScrapeJob:
    return replace(job, targets={**job.targets, f"{LOOPBACK}:{port}": labels})
