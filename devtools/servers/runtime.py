"""Decides where the servers of an instance run, and says so.

RabbitMQ runs in a container where a Docker daemon runs that has, or can pull, its image; else in the private Debian
root. PostgreSQL runs in the root, and in a container only where no root can be made. `WARREN_SERVERS` set to `docker`
or `debian` decides for both.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from devtools.errors import LocalError, MachineError, RootError, ServerError
from devtools.servers.container import Container, docker
from devtools.servers.debian_root import debian_root
from devtools.servers.sandbox import Sandbox
from warren.progress import ProgressReport

__all__ = ["ServerRuntime", "ServerRuntimes", "choose_runtimes"]

BROKER_IMAGE = "rabbitmq:4.3-management"
DATABASE_IMAGE = "postgres:18"
VOLUME_PATHS = {BROKER_IMAGE: "/var/lib/rabbitmq", DATABASE_IMAGE: "/var/lib/postgresql"}
PROBE_LIMIT = 10.0  # seconds; a daemon that runs answers within a tenth of one, on a busy machine within a few
PULL_LIMIT = 300.0  # seconds


class ServerRuntime(Protocol):
    """Paths are as the server sees them."""

    @property
    def listen_host(self) -> str:
        """The address to bind, such that the server is reachable on this machine's loopback only."""

    @property
    def data(self) -> PurePosixPath:
        """A folder that the server may write to and that stays between runs."""

    def file(self, name: str) -> PurePosixPath:
        """Where `launch` puts the file of that name."""

    def launch(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[str, bytes], ports: Sequence[int]
    ) -> list[str]:
        """Writes the files and returns the command line that runs `argv` in the foreground until it ends.

        The process of that command line dies, and all the server's processes with it, when this one does.
        """

    def send(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Sends a signal to the server that `launch`'s command line runs; SIGKILL spares none of its processes."""

    def run(self, argv: Sequence[str], env: Mapping[str, str], time_limit: float = 60.0) -> str:
        """Runs one command to its end and returns its standard output. Raises ServerError if it fails."""

    def erase(self) -> None:
        """Deletes all data. For a stopped server only."""

    def release(self) -> None:
        """Lets go of what only a running server needs."""


@dataclass(frozen=True)
class ServerRuntimes:
    """One for each server."""

    broker: ServerRuntime
    postgres: ServerRuntime


def choose_runtimes(
    instance_dir: Path, report: ProgressReport, environ: Mapping[str, str] = os.environ
) -> ServerRuntimes:
    """Takes what the machine offers; builds the root or pulls images where needed.

    Raises LocalError for a `WARREN_SERVERS` that means nothing, MachineError or RootError if there is no way at all.
    """
    wish = environ.get("WARREN_SERVERS", "")
    if wish not in {"", "docker", "debian"}:
        raise LocalError(f"WARREN_SERVERS is {wish!r}; it may be docker, debian or empty.")
    with_docker = wish != "debian" and _docker_answers()
    if wish == "docker" and not with_docker:
        raise MachineError("WARREN_SERVERS asks for Docker, but no Docker daemon answers. Start it, or unset that.")

    broker: ServerRuntime | None = None
    if with_docker:
        try:
            broker = _container(instance_dir, "rabbitmq", BROKER_IMAGE, report)
        except ServerError as error:
            if wish == "docker":
                raise
            report.status(f"Docker runs, but: {error}")
    postgres: ServerRuntime
    if wish == "docker":
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
    assert broker is not None  # noqa: S101 (a wish for Docker that cannot be met has raised)
    report.status(f"RabbitMQ: {_describe(broker)}; PostgreSQL: {_describe(postgres)}")
    return ServerRuntimes(broker, postgres)


def _docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        command = ["docker", "version", "--format", "{{.Server.Version}}"]
        return subprocess.run(command, capture_output=True, check=False, timeout=PROBE_LIMIT).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _container(instance_dir: Path, name: str, image: str, report: ProgressReport) -> Container:
    """A place in a container. Raises ServerError if the image is not here and cannot be pulled."""
    if not docker("image", "ls", "--quiet", image).strip():
        with report.step(f"Pulling {image}"):
            docker("pull", "--quiet", image, time_limit=PULL_LIMIT)
    return Container(instance_dir, name, image, VOLUME_PATHS[image])


def _describe(place: ServerRuntime) -> str:
    return f"Docker image {place.image}" if isinstance(place, Container) else "private Debian root"
