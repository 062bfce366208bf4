"""Runs an additional service with a running `warren up`, from a folder of its own:

    python -m devtools.local.run_service docs/examples/loyalty

The folder is a package with a `__main__.py`, and may contain `topology.yaml` and `migrations/`. Its name is the name of
the service, its broker user, its database role and its schema. The running system changes only by the added topology.
"""

import argparse
import asyncio
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import broker_topology
from devtools.errors import LocalError
from devtools.local import topology
from devtools.local.topology import TOPOLOGY, VHOST
from devtools.paths import CHECKOUT
from devtools.ports import LOOPBACK
from devtools.processes.supervisor import ProcessSpec, Supervisor
from devtools.servers.credentials import Certificates, load_or_create_secret
from devtools.servers.endpoints import service_settings
from services.shared.chassis.migrations import MigrationError, ServiceSchema, prepare_database
from warren.local_system import running_instance

PORT = 8090


class ExtraService:
    """The service in `folder`, for the system whose instance folder is `host`."""

    def __init__(self, folder: Path, host: Path) -> None:
        self.folder = folder.resolve()
        self.name = self.folder.name
        if not (self.folder / "__main__.py").is_file() or CHECKOUT not in self.folder.parents:
            raise LocalError(f"{folder} is not a service: it must be a package of this checkout with a __main__.py.")
        self._secrets = host / "secrets"
        self._ca_file = Certificates(host / "certificates").ca_file
        self._ports: dict[str, int] = json.loads((host / "ports.json").read_text())

    async def prepare(self) -> None:
        """Apply its topology and create its role, schema and tables. Idempotent. Raises LocalError."""
        try:
            await self._apply_topology()
            await self._migrate()
        except (MigrationError, broker_topology.TopologyError) as error:
            raise LocalError(str(error)) from error

    def process(self, *, port: int = 0) -> ProcessSpec:
        """Return the command of the service; `port` 0 takes a free one for HTTP."""
        module = ".".join(self.folder.relative_to(CHECKOUT).parts)
        settings = service_settings(
            self.name,
            self._secrets,
            self._ca_file,
            database=f"{LOOPBACK}:{self._ports['postgres']}/warren",
            broker=f"{LOOPBACK}:{self._ports['amqps']}/{VHOST}",
        )
        settings |= {"WARREN_HTTP_PORT": str(port), "WARREN_AUTH": "local"}  # `local` on loopback only
        return ProcessSpec(self.name, [sys.executable, "-m", module], settings, CHECKOUT)

    async def _apply_topology(self) -> None:
        file = self.folder / "topology.yaml"
        if not file.is_file():
            return
        peers = topology.load(TOPOLOGY)
        password = load_or_create_secret(self._secrets / "rabbitmq-admin")
        url = f"https://{LOOPBACK}:{self._ports['management']}"
        async with broker_topology.ManagementApi(url, "admin", password, ca_file=self._ca_file) as api:
            topologies = broker_topology.load([file])
            await topology.apply(topologies, api, self._secrets, print, owner=self.name, peers=peers)

    async def _migrate(self) -> None:
        load_or_create_secret(self._secrets / f"{self.name}-postgres" / "password")
        await prepare_database(
            f"postgresql://postgres@{LOOPBACK}:{self._ports['postgres']}/warren",
            load_or_create_secret(self._secrets / "postgres-admin"),
            self._ca_file,
            self._secrets,
            [ServiceSchema(self.name, self.folder / "migrations")],
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 stopped, 1 it could not start or ended unexpectedly, 2 wrong usage."""
    parser = argparse.ArgumentParser(
        prog="python -m devtools.local.run_service",
        description="Run an additional service with the `warren up` of this checkout, until Ctrl-C.",
        epilog="example: python -m devtools.local.run_service docs/examples/loyalty",
    )
    parser.add_argument("folder", type=Path, help="the service's package, with topology.yaml and migrations/")
    parser.add_argument("--port", type=int, default=PORT, help="of its HTTP routes, if any (default: %(default)s)")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        instance = running_instance()
        if instance is None:
            raise LocalError("Nothing is running in this checkout: start `warren up` in another terminal.")  # noqa: TRY301
        service = ExtraService(options.folder, instance.dir)
        asyncio.run(service.prepare())
        with Supervisor(instance.dir / "logs" / "services", _show) as processes:
            processes.start(service.process(port=options.port))
            routes = f"http://{LOOPBACK}:{options.port}"
            print(f"{service.name} is running; its HTTP routes, if any, are at {routes}. Ctrl-C stops it.")
            processes.wait(stop)
    except LocalError as error:
        print(f"run_service: {error}", file=sys.stderr)
        return 1
    return 0


def _show(_: str, line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
