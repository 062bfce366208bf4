"""The Prometheus server of an instance: plain HTTP on loopback. Its data stays between runs, for two days at most.

Rules and targets are read when it starts: a restart takes their changes.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from devtools.errors import ServerError
from devtools.ports import LOOPBACK, remembered_ports
from devtools.servers.runtime import ServerRuntime, monitoring_runtimes
from devtools.servers.server import Server
from warren.progress import ProgressReport
from warren.prometheus_api import PrometheusApi

PORT = 9090
"""The port of Prometheus in `warren up`, unless it is taken."""
INTERVAL = 5.0  # seconds between two scrapes, and between two evaluations of the rules
RETENTION = ("--storage.tsdb.retention.time=2d", "--storage.tsdb.retention.size=512MB")


@dataclass(frozen=True)
class ScrapeJob:
    """Targets that Prometheus scrapes at one path. `targets` maps host:port to the labels of its series."""

    name: str
    targets: Mapping[str, Mapping[str, str]]
    path: str = "/metrics"
    params: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ca_file: Path | None = None
    """The authority of the targets' certificates; None for plain HTTP."""
    honor_labels: bool = False
    """Whether a label in the series, such as the namespace of a Topology, replaces that of the target."""


class Prometheus(Server):
    """Scrapes `jobs` and itself (job `prometheus`), and evaluates the rules in `rules`, files or folders of *.yaml."""

    name = "Prometheus"
    ready_line = re.compile(rb"Server is ready to receive web requests")

    def __init__(
        self,
        runtime: ServerRuntime,
        instance_dir: Path,
        port: int,
        jobs: Sequence[ScrapeJob],
        rules: Sequence[Path] = (),
        *,
        labels: Mapping[str, str] | None = None,
        interval: float = INTERVAL,
    ) -> None:
        """`labels` are added to the series of every target, `interval` is in seconds."""
        super().__init__(runtime, instance_dir / "logs" / "prometheus.log")
        self.port = port
        self.api = PrometheusApi(f"http://{LOOPBACK}:{port}")
        self._jobs = [*jobs, ScrapeJob("prometheus", {f"{LOOPBACK}:{port}": {}})]
        self._rules = list(rules)
        self._labels = dict(labels or {})
        self._duration = f"{round(interval * 1000)}ms"

    def wait_until_up(self, seconds: float = 60.0) -> None:
        """Wait until the last scrape of every target succeeded, at least 5 s from the start.

        Raises ServerError with the targets of which it did not.
        """
        deadline = time.monotonic() + seconds
        while down := self._down():
            if time.monotonic() > deadline:
                raise ServerError(f"Prometheus could not scrape within {seconds:.0f} s: {'; '.join(down)}")
            time.sleep(0.1)

    def _down(self) -> list[str]:
        found = {(one["labels"]["job"], one["labels"]["instance"]): one for one in self.api.targets()}
        down = []
        for job in self._jobs:
            for address in job.targets:
                one = found.get((job.name, address), {"health": "unknown", "lastError": ""})
                if one["health"] != "up":
                    down.append(f"{job.name} at {address} ({one['lastError'] or 'no scrape yet'})")
        return down

    def _prepare_command(self) -> list[str]:
        rules = {f"rules/{file.name}": file.read_bytes() for file in rule_files(self._rules)}
        authorities = {f"ca-{job.name}.pem": job.ca_file.read_bytes() for job in self._jobs if job.ca_file}
        files = {"prometheus.yaml": self._configuration(list(rules)).encode(), **rules, **authorities}
        argv = [
            "prometheus",
            f"--config.file={self._runtime.file('prometheus.yaml')}",
            f"--storage.tsdb.path={self._runtime.data}",
            *RETENTION,
            f"--web.listen-address={self._runtime.listen_host}:{self.port}",
            f"--web.external-url={self.api.url}",
            "--enable-feature=exemplar-storage",
        ]
        return self._runtime.launch(argv, {}, files, [self.port])

    def _configuration(self, rules: Sequence[str]) -> str:
        content = {
            "global": dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), self._duration),
            "rule_files": [str(self._runtime.file(name)) for name in rules],
            "scrape_configs": [self._scrape_config(job) for job in self._jobs],
        }
        return yaml.safe_dump(content, sort_keys=False)

    def _scrape_config(self, job: ScrapeJob) -> dict[str, Any]:
        tls = {"scheme": "https", "tls_config": {"ca_file": str(self._runtime.file(f"ca-{job.name}.pem"))}}
        return {
            "job_name": job.name,
            "metrics_path": job.path,
            "honor_labels": job.honor_labels,
            "params": {name: list(values) for name, values in job.params.items()},
            **(tls if job.ca_file else {}),
            "static_configs": [
                {"targets": [address], "labels": {**self._labels, **labels}} for address, labels in job.targets.items()
            ],
        }


def rule_files(paths: Sequence[Path]) -> list[Path]:
    """Return the files of `paths`, and for a folder its *.yaml, which may be none."""
    return [file for path in paths for file in ([path] if path.is_file() else sorted(path.glob("*.yaml")))]


@contextmanager
def running_prometheus(
    instance_dir: Path,
    jobs: Sequence[ScrapeJob],
    rules: Sequence[Path] = (),
    *,
    labels: Mapping[str, str] | None = None,
    interval: float = 1.0,
) -> Iterator[Prometheus]:
    """Run Prometheus for a block, for tests, on a free port and with a new database. Raises LocalError."""
    instance_dir.mkdir(parents=True, exist_ok=True)
    runtime, _ = monitoring_runtimes(instance_dir, ProgressReport(quiet=True))
    port = remembered_ports(instance_dir / "prometheus-ports.json", ["prometheus"])["prometheus"]
    prometheus = Prometheus(runtime, instance_dir, port, jobs, rules, labels=labels, interval=interval)
    prometheus.erase()
    try:
        prometheus.start()
        yield prometheus
    finally:
        prometheus.stop()
        prometheus.release()
