"""The environment of one service's benchmark: a new virtual host, and a new database with the service's schema."""

import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

import broker_topology
from broker_topology.broker.management_api import path
from devtools.servers.credentials import load_or_create_secret
from devtools.servers.endpoints import service_settings
from devtools.servers.servers import Servers
from services.shared.chassis.migrations import ServiceSchema, prepare_database


class BenchmarkEnv:
    """Use as `async with env.prepared()`. `service` names the role, the schema and the broker user."""

    def __init__(self, servers: Servers, service: str, topology: Path) -> None:
        self.servers = servers
        self.service = service
        self.vhost = f"loadtest-{secrets.token_hex(4)}"
        self.database = f"loadtest_{secrets.token_hex(4)}"
        self._topology = topology
        # Users and roles belong to the whole server, so their passwords are those of the instance.
        self.secrets = servers.instance_dir / "secrets"

    @asynccontextmanager
    async def prepared(self) -> AsyncIterator[None]:
        """Create topology and tables, and drop both at the end."""
        broker, postgres = self.servers.broker.endpoints, self.servers.postgres.endpoint
        load_or_create_secret(self.secrets / f"{self.service}-postgres" / "password")
        url, schemas = postgres.url(self.database), [ServiceSchema(self.service)]
        await prepare_database(url, postgres.admin_password, postgres.ca_file, self.secrets, schemas)
        async with broker.management_api() as api:
            topologies = broker_topology.with_vhost(broker_topology.load([self._topology]), self.vhost)
            await broker_topology.apply(topologies, api, broker_topology.SecretDirectory(self.secrets))
            try:
                yield
            finally:
                await api.delete(path("vhosts", self.vhost))
                await postgres.drop(self.database)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a process of the service."""
        broker, postgres = self.servers.broker.endpoints, self.servers.postgres.endpoint
        settings = service_settings(
            self.service,
            self.secrets,
            postgres.ca_file,
            database=f"{postgres.host}:{postgres.port}/{self.database}",
            broker=f"{broker.host}:{broker.amqps_port}/{self.vhost}",
        )
        return settings | {"WARREN_LOG_LEVEL": "warning"}

    def owner(self) -> "AbstractAsyncContextManager[asyncpg.Connection[Any]]":
        """A connection of the database's owner, in the service's schema."""
        return self.servers.postgres.endpoint.connection(self.database, schema=self.service)

    def channel(self) -> AbstractAsyncContextManager[Any]:
        """A channel in the virtual host, as the administrator."""
        return self.servers.broker.endpoints.channel(self.vhost)

    async def server_versions(self) -> dict[str, str]:
        async with self.owner() as connection:
            postgres = connection.get_server_version()
        async with self.channel() as channel:
            broker = channel.connection.server_properties["version"]
        return {
            "RabbitMQ": broker.decode() if isinstance(broker, bytes) else str(broker),
            "PostgreSQL": f"{postgres.major}.{postgres.minor}",
        }
