"""The addresses of the running servers and their administrators' logins. All of them use TLS on loopback."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote


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


@dataclass(frozen=True)
class DatabaseEndpoint:
    """PostgreSQL; the database is empty after the first start."""

    host: str
    port: int
    admin_username: str
    admin_password: str = field(repr=False)
    ca_file: Path
    database: str = "warren"

    def dsn(self, database: str | None = None, username: str | None = None, password: str | None = None) -> str:
        """Return a libpq URL that verifies the server, for asyncpg, dbmate and psql."""
        user = quote(username if username is not None else self.admin_username, safe="")
        secret = quote(password if password is not None else self.admin_password, safe="")
        return (
            f"postgresql://{user}:{secret}@{self.host}:{self.port}/{quote(database or self.database, safe='')}"
            f"?sslmode=verify-full&sslrootcert={quote(str(self.ca_file), safe='/')}"
        )


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
