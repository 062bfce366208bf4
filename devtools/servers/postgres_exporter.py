"""The exporter of PostgreSQL's metrics: plain HTTP on loopback, TLS to the database.

It logs in as `monitoring`, which may read statistics of all sessions, and no table of a service.
"""

import asyncio
import re
from pathlib import Path

from devtools.ports import LOOPBACK
from devtools.servers.credentials import load_or_create_secret
from devtools.servers.endpoints import DatabaseEndpoint
from devtools.servers.runtime import ServerRuntime
from devtools.servers.server import Server
from services.shared.chassis.migrations import MONITORING_ROLE, create_monitoring_role
from services.shared.chassis.scram import verifier


class PostgresExporter(Server):
    """Serves the metrics of the database server at `database`. Each start creates or updates its role there."""

    name = "postgres-exporter"
    ready_line = re.compile(rb"Listening on")

    def __init__(self, runtime: ServerRuntime, instance_dir: Path, port: int, database: DatabaseEndpoint) -> None:
        super().__init__(runtime, instance_dir / "logs" / "postgres-exporter.log")
        self.port = port
        self._database = database
        self._password_file = instance_dir / "secrets" / f"{MONITORING_ROLE}-postgres" / "password"

    def _prepare_command(self) -> list[str]:
        password = load_or_create_secret(self._password_file)
        asyncio.run(self._create_role(password))
        ca_file = self._runtime.file("ca.pem")
        database = self._database
        files = {
            "password": password.encode(),
            "ca.pem": database.ca_file.read_bytes(),
            "postgres_exporter.yaml": b"{}\n",
        }
        env = {
            "DATA_SOURCE_URI": f"{LOOPBACK}:{database.port}/{database.database}"
            f"?sslmode=verify-full&sslrootcert={ca_file}",
            "DATA_SOURCE_USER": MONITORING_ROLE,
            "DATA_SOURCE_PASS_FILE": str(self._runtime.file("password")),
        }
        argv = [
            "prometheus-postgres-exporter",
            f"--config.file={self._runtime.file('postgres_exporter.yaml')}",
            f"--web.listen-address={self._runtime.listen_host}:{self.port}",
        ]
        return self._runtime.launch(argv, env, files, [self.port])

    async def _create_role(self, password: str) -> None:
        async with self._database.connection() as connection:
            await create_monitoring_role(connection, verifier(password))
