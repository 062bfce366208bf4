"""What a measurement stands on: a fresh virtual host and a fresh database with the schema of one service."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiormq
import asyncpg

import broker_topology
from broker_topology.broker.management_api import path
from devtools.servers.credentials import remembered_secret
from devtools.servers.servers import Servers
from services.shared.chassis.migrations import ServiceSchema, prepare_database
from services.shared.chassis.settings import ENV_PREFIX


class Bench:
    """Use as `async with bench.laid_out()`. `service` is the role, the schema and the broker user."""

    def __init__(self, servers: Servers, service: str, topology: Path) -> None:
        self.servers = servers
        self.service = service
        self.vhost = f"loadtest-{secrets.token_hex(4)}"
        self.database = f"loadtest_{secrets.token_hex(4)}"
        self._topology = topology
        # Users and roles belong to the whole server, so their passwords are those of the instance.
        self.secrets = servers.instance_dir / "secrets"

    @asynccontextmanager
    async def laid_out(self) -> AsyncIterator[None]:
        """Topology and tables are there; both are dropped in the end."""
        broker, postgres = self.servers.broker.address, self.servers.postgres.address
        remembered_secret(self.secrets / f"{self.service}-postgres" / "password")
        url = f"postgresql://{postgres.admin_username}@{postgres.host}:{postgres.port}/{self.database}"
        schemas = [ServiceSchema(self.service)]
        await prepare_database(url, postgres.admin_password, postgres.ca_file, self.secrets, schemas)
        login = (broker.admin_username, broker.admin_password)
        async with broker_topology.ManagementApi(broker.management_url, *login, ca_file=broker.ca_file) as api:
            topologies = broker_topology.with_vhost(broker_topology.load([self._topology]), self.vhost)
            await broker_topology.apply(topologies, api, broker_topology.SecretDirectory(self.secrets))
            try:
                yield
            finally:
                await api.delete(path("vhosts", self.vhost))
                async with self.owner(database="postgres") as connection:
                    await connection.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a process of the service."""
        broker, postgres = self.servers.broker.address, self.servers.postgres.address
        return {
            f"{ENV_PREFIX}DATABASE_URL": f"postgresql://{self.service}@{postgres.host}:{postgres.port}/{self.database}",
            f"{ENV_PREFIX}DATABASE_PASSWORD_FILE": str(self.secrets / f"{self.service}-postgres" / "password"),
            f"{ENV_PREFIX}DATABASE_CA_FILE": str(postgres.ca_file),
            f"{ENV_PREFIX}BROKER_URL": f"amqps://{broker.host}:{broker.amqps_port}/{self.vhost}",
            f"{ENV_PREFIX}BROKER_CREDENTIALS": str(self.secrets / f"{self.service}-rabbitmq"),
            f"{ENV_PREFIX}BROKER_CA_FILE": str(broker.ca_file),
            f"{ENV_PREFIX}LOG_LEVEL": "warning",
        }

    @asynccontextmanager
    async def owner(self, database: str | None = None) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """The owner's connection, in the service's schema."""
        dsn = self.servers.postgres.address.dsn(database or self.database)
        connection = await asyncpg.connect(dsn, server_settings={"search_path": self.service})
        try:
            yield connection
        finally:
            await connection.close()

    async def versions(self) -> dict[str, str]:
        """Of the servers."""
        async with self.owner() as connection:
            postgres = connection.get_server_version()
        async with self.channel() as channel:
            broker = channel.connection.server_properties["version"]
        return {
            "RabbitMQ": broker.decode() if isinstance(broker, bytes) else str(broker),
            "PostgreSQL": f"{postgres.major}.{postgres.minor}",
        }

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[Any]:
        """An administrator's channel in the virtual host."""
        broker = self.servers.broker.address
        connection = await aiormq.connect(f"{broker.amqps_url(vhost=self.vhost)}?cafile={broker.ca_file}")
        try:
            yield await connection.channel(on_return_raises=True)
        finally:
            await connection.close()
