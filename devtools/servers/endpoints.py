"""The addresses of the running servers and their administrators' logins. All of them use TLS on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiormq
import asyncpg

from broker_topology import ManagementApi


@dataclass(frozen=True)
class BrokerEndpoints:
    """RabbitMQ: AMQP, streams, management API and metrics."""

    host: str
    amqps_port: int
    management_url: str
    stream_port: int
    metrics_url: str
    admin_username: str
    admin_password: str = field(repr=False)
    ca_file: Path

    def amqps_url(self, username: str | None = None, password: str | None = None, vhost: str = "/") -> str:
        """Return an AMQP URL, of the administrator by default; the CA is not part of it."""
        user = quote(username if username is not None else self.admin_username, safe="")
        secret = quote(password if password is not None else self.admin_password, safe="")
        return f"amqps://{user}:{secret}@{self.host}:{self.amqps_port}/{quote(vhost, safe='')}"

    @property
    def login(self) -> tuple[str, str]:
        """Name and password of the administrator."""
        return self.admin_username, self.admin_password

    def management_api(self) -> ManagementApi:
        """Return a client of the management API, as the administrator."""
        return ManagementApi(self.management_url, *self.login, ca_file=self.ca_file)

    @asynccontextmanager
    async def channel(self, vhost: str, username: str | None = None, password: str | None = None) -> AsyncIterator[Any]:
        """Open a channel with publisher confirms for a block; an unroutable mandatory message raises an error."""
        connection = await aiormq.connect(f"{self.amqps_url(username, password, vhost)}?cafile={self.ca_file}")
        try:
            yield await connection.channel(on_return_raises=True)
        finally:
            await connection.close()


@dataclass(frozen=True)
class DatabaseEndpoint:
    """PostgreSQL; the database is empty after the first start."""

    host: str
    port: int
    admin_username: str
    admin_password: str = field(repr=False)
    ca_file: Path
    database: str = "warren"

    def url(self, database: str | None = None) -> str:
        """Return the URL of a database for the administrator, without the password."""
        return f"postgresql://{self.admin_username}@{self.host}:{self.port}/{database or self.database}"

    def dsn(self, database: str | None = None, username: str | None = None, password: str | None = None) -> str:
        """Return a libpq URL that verifies the server, for asyncpg, dbmate and psql."""
        user = quote(username if username is not None else self.admin_username, safe="")
        secret = quote(password if password is not None else self.admin_password, safe="")
        return (
            f"postgresql://{user}:{secret}@{self.host}:{self.port}/{quote(database or self.database, safe='')}"
            f"?sslmode=verify-full&sslrootcert={quote(str(self.ca_file), safe='/')}"
        )

    @asynccontextmanager
    async def connection(
        self, database: str | None = None, *, schema: str | None = None
    ) -> AsyncIterator["asyncpg.Connection[Any]"]:
        """Connect for a block as the administrator, with `schema` as the search path."""
        settings = {"search_path": schema} if schema else None
        connection = await asyncpg.connect(self.dsn(database), server_settings=settings)
        try:
            yield connection
        finally:
            await connection.close()

    async def drop(self, database: str) -> None:
        """Drop a database, if it exists, with all its connections."""
        async with self.connection("postgres") as connection:
            await connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


def service_settings(service: str, secrets: Path, ca_file: Path, *, database: str, broker: str) -> dict[str, str]:
    """Return the environment that connects a service. `database` is host:port/name, `broker` is host:port/vhost."""
    return {
        "WARREN_DATABASE_URL": f"postgresql://{service}@{database}",
        "WARREN_DATABASE_PASSWORD_FILE": str(secrets / f"{service}-postgres" / "password"),
        "WARREN_DATABASE_CA_FILE": str(ca_file),
        "WARREN_BROKER_URL": f"amqps://{broker}",
        "WARREN_BROKER_CREDENTIALS": str(secrets / f"{service}-rabbitmq"),
        "WARREN_BROKER_CA_FILE": str(ca_file),
    }
