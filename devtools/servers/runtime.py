"""The runtime of a server: a Docker container, or a sandbox in a private Debian root.

RabbitMQ runs in a container if a Docker daemon has its image or can pull it, else in the sandbox. PostgreSQL and
Prometheus run in the sandbox, and in a container only if no root can be built. `WARREN_SERVERS=docker` or `debian`
decides for all.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from devtools.errors import LocalError, MachineError, RootError, ServerError
from devtools.servers.container import Container, ServerImage, docker
from devtools.servers.debian_root import MONITORING, debian_root
from devtools.servers.sandbox import Sandbox
from warren.progress import ProgressReport

BROKER_IMAGE = ServerImage("rabbitmq:4.3-management", "/var/lib/rabbitmq")
DATABASE_IMAGE = ServerImage("postgres:18", "/var/lib/postgresql")
PROMETHEUS_IMAGE = ServerImage("prom/prometheus:v3.5.3", "/prometheus", "65534:65534", host_network=True)
EXPORTER_IMAGE = ServerImage(
    "prometheuscommunity/postgres-exporter:v0.19.1", "/data", "65534:65534", "postgres_exporter", host_network=True
)
PROBE_LIMIT = 10.0  # seconds; a running daemon answers within 0.1, on a busy machine within a few
PULL_LIMIT = 300.0  # seconds


class ServerRuntime(Protocol):
    """Runs one server. Paths are as the server sees them."""

    @property
    def listen_host(self) -> str:
        """The address to bind, so that only this machine's loopback reaches the server."""

    @property
    def data(self) -> PurePosixPath:
        """A folder that the server may write to; it stays between runs."""

    def file(self, name: str) -> PurePosixPath:
        """Return the path of a file that `launch` writes."""

    def launch(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[str, bytes], ports: Sequence[int]
    ) -> list[str]:
        """Write the files and return a command that runs `argv` in the foreground.

        That command, and all the server's processes, end when this process ends.
        """

    def send(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Send a signal to the server; SIGKILL ends all its processes."""

    def run(self, argv: Sequence[str], env: Mapping[str, str], time_limit: float = 60.0) -> str:
        """Run a command and return its standard output. Raises ServerError if it fails."""

    def run_once(self, argv: Sequence[str], files: Mapping[str, bytes], time_limit: float = 60.0) -> str:
        """Run a command while no server runs, in a folder with `files`, and return its standard output.

        The names of the files are relative paths. Raises ServerError if the command fails.
        """

    def erase(self) -> None:
        """Delete all data of a stopped server."""

    def release(self) -> None:
        """Free the resources that only a running server needs."""


def choose_runtimes(
    instance_dir: Path, report: ProgressReport, environ: Mapping[str, str] = os.environ
) -> tuple[ServerRuntime, ServerRuntime]:
    """Choose runtimes of broker and database that this machine supports; builds the root or pulls images if necessary.

    Raises LocalError for an unknown value of `WARREN_SERVERS`, MachineError or RootError if no runtime is possible.
    """
    forced, with_docker = _choice(environ)
    broker: ServerRuntime | None = None
    if with_docker:
        try:
            broker = _container(instance_dir, "rabbitmq", BROKER_IMAGE, report)
        except ServerError as error:
            if forced == "docker":
                raise
            report.status(f"Docker runs, but: {error}")
    postgres: ServerRuntime
    if forced == "docker":
        postgres = _container(instance_dir, "postgres", DATABASE_IMAGE, report)
    else:
        try:
            root = debian_root(report)
            postgres = Sandbox(root, instance_dir, "postgres")
            broker = broker or Sandbox(root, instance_dir, "rabbitmq")
        except (MachineError, RootError):
            if broker is None:
                raise
            postgres = _container(instance_dir, "postgres", DATABASE_IMAGE, report)
    assert broker is not None  # noqa: S101 (without Docker the root was built, or an error raised)
    report.status(f"RabbitMQ: {_describe(broker)}; PostgreSQL: {_describe(postgres)}")
    return broker, postgres


def monitoring_runtimes(
    instance_dir: Path, report: ProgressReport, environ: Mapping[str, str] = os.environ
) -> tuple[ServerRuntime, ServerRuntime]:
    """Choose runtimes of Prometheus and of PostgreSQL's exporter, as `choose_runtimes` does for PostgreSQL."""
    forced, with_docker = _choice(environ)
    if forced != "docker":
        try:
            root = debian_root(report, MONITORING)
            return Sandbox(root, instance_dir, "prometheus"), Sandbox(root, instance_dir, "postgres-exporter")
        except (MachineError, RootError):
            if not with_docker:
                raise
    return (
        _container(instance_dir, "prometheus", PROMETHEUS_IMAGE, report),
        _container(instance_dir, "postgres-exporter", EXPORTER_IMAGE, report),
    )


def _choice(environ: Mapping[str, str]) -> tuple[str, bool]:
    """Return the value of `WARREN_SERVERS`, and whether Docker can be used. Raises LocalError or MachineError."""
    forced = environ.get("WARREN_SERVERS", "")
    if forced not in {"", "docker", "debian"}:
        raise LocalError(f"WARREN_SERVERS is {forced!r}; it may be docker, debian or empty.")
    with_docker = forced != "debian" and _docker_answers()
    if forced == "docker" and not with_docker:
        raise MachineError("WARREN_SERVERS asks for Docker, but no Docker daemon answers. Start it, or unset that.")
    return forced, with_docker


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        return subprocess.run(command, capture_output=True, check=False, timeout=PROBE_LIMIT).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _container(instance_dir: Path, name: str, image: ServerImage, report: ProgressReport) -> Container:
    """Return a container. Raises ServerError if its image is missing and cannot be pulled."""
    if not docker("image", "ls", "--quiet", image.name).strip():
        with report.step(f"Pulling {image.name}"):
            docker("pull", "--quiet", image.name, time_limit=PULL_LIMIT)
    return Container(instance_dir, name, image)


def _describe(runtime: ServerRuntime) -> str:
    return f"Docker image {runtime.image.name}" if isinstance(runtime, Container) else "private Debian root"
