"""PostgreSQL and RabbitMQ of one instance."""

import shutil
from pathlib import Path
from typing import Self

from devtools.ports import remembered_ports
from devtools.servers import rabbitmq
from devtools.servers.credentials import Certificates
from devtools.servers.postgres import Postgres
from devtools.servers.rabbitmq import RabbitMQ
from devtools.servers.runtime import choose_runtimes
from devtools.servers.server import Server, start_all, stop_all
from warren.progress import ProgressReport


class Servers:
    """Both servers of the instance in `instance_dir`; entering starts them in parallel, leaving stops them.

    Data, passwords, certificates and ports stay for the next run unless `fresh`. No server process outlives this
    process. Raises MachineError, RootError or ServerError.
    """

    broker: RabbitMQ
    postgres: Postgres

    def __init__(self, instance_dir: Path, *, report: ProgressReport | None = None, fresh: bool = False) -> None:
        self.instance_dir = instance_dir
        self._report = report or ProgressReport(quiet=True)
        self._fresh = fresh

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.instance_dir.mkdir(parents=True, exist_ok=True)
        broker, postgres = choose_runtimes(self.instance_dir, self._report)
        certificates = Certificates(self.instance_dir / "certificates")
        ports = remembered_ports(self.instance_dir / "ports.json", ("postgres", *rabbitmq.PORTS))
        self.postgres = Postgres(postgres, self.instance_dir, ports["postgres"], certificates)
        self.broker = RabbitMQ(broker, self.instance_dir, ports, certificates)
        if self._fresh:
            shutil.rmtree(self.instance_dir / "logs", ignore_errors=True)
            for server in self.all:
                server.erase()
        with self._report.step("Starting PostgreSQL and RabbitMQ"):
            try:
                start_all(self.all)
            except BaseException:
                self._release()
                raise

    def stop(self) -> None:
        """Shut both down, within a few seconds."""
        stop_all(self.all)
        self._release()

    def _release(self) -> None:
        for server in self.all:
            server.release()

    @property
    def all(self) -> tuple[Server, ...]:
        return (self.postgres, self.broker)

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the running servers, by name."""
        pids = {server.name: server.pid for server in self.all}
        return {name: pid for name, pid in pids.items() if pid is not None}

    def kill(self) -> None:
        """Send SIGKILL to both."""
        for server in self.all:
            server.kill()
