"""Addresses of the broker and the database: from options and variables, or from the running `warren up`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from cyclopts import Group, Parameter

from warren.errors import ClientError
from warren.local_system import running_instance

if TYPE_CHECKING:
    from warren_messaging.amqp.connection import BrokerAddress
    from warren_messaging.postgres.database import DatabaseAddress

VHOST = "orders"
USER = "dlq"
MANAGEMENT_PORTS = {"amqps": ("https", 15671), "amqp": ("http", 15672)}

_broker = Group("Broker", help="Default: the running `warren up` of this checkout.", sort_key=90)
_database = Group("Database", help="Default: the running `warren up` of this checkout.", sort_key=91)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class BrokerAccess:
    """Options for the broker and its user `dlq`."""

    broker_url: Annotated[
        str | None,
        Parameter(env_var="WARREN_BROKER_URL", group=_broker, help="amqps://host:port/vhost, without a login."),
    ] = None
    broker_credentials: Annotated[
        Path | None,
        Parameter(
            env_var="WARREN_BROKER_CREDENTIALS",
            group=_broker,
            help="Folder with the files username and password: the Secret dlq-rabbitmq, as mounted or copied.",
        ),
    ] = None
    broker_ca_file: Annotated[
        Path | None,
        Parameter(env_var="WARREN_BROKER_CA_FILE", group=_broker, help="The CA; default: the system's CAs."),
    ] = None
    management_url: Annotated[
        str | None,
        Parameter(
            env_var="WARREN_MANAGEMENT_URL",
            group=_broker,
            help="The management API, which lists the parking lots. Default: port 15671 of the broker's host, 15672"
            " without TLS.",
        ),
    ] = None

    def address(self) -> BrokerAddress:
        """Raises ClientError if an option is missing and no `warren up` runs."""
        from warren_messaging.amqp.connection import BrokerAddress

        if self.broker_url and self.broker_credentials:
            return BrokerAddress(self.broker_url, self.broker_credentials, self.broker_ca_file)
        if self.broker_url or self.broker_credentials:
            missing = "--broker-credentials" if self.broker_url else "--broker-url"
            raise ClientError(f"{missing} is missing (or its variable; see --help)")
        folder, ports = _running_system("--broker-url and --broker-credentials")
        url = f"amqps://127.0.0.1:{ports['amqps']}/{VHOST}"
        return BrokerAddress(url, folder / "secrets" / f"{USER}-rabbitmq", folder / "certificates" / "trust" / "ca.crt")

    def management(self) -> str | None:
        """Return the URL of the broker's management API; None if it does not follow from the broker's URL."""
        if self.management_url:
            return self.management_url
        if not self.broker_url:
            return f"https://127.0.0.1:{_running_system('--broker-url')[1]['management']}"
        parts = urlsplit(self.broker_url)
        if parts.scheme not in MANAGEMENT_PORTS or parts.hostname is None:
            return None
        scheme, port = MANAGEMENT_PORTS[parts.scheme]
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{scheme}://{host}:{port}"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class DatabaseAccess:
    """Options for the database and a role that reads the services' tables; some commands change them."""

    database_url: Annotated[
        str | None,
        Parameter(
            env_var="WARREN_DATABASE_URL",
            group=_database,
            help="postgresql://role@host:port/database, without a password. The role must reach the tables outbox,"
            " failures and scheduled of every service (schema); those it may not read are left out.",
        ),
    ] = None
    database_password_file: Annotated[
        Path | None, Parameter(env_var="WARREN_DATABASE_PASSWORD_FILE", group=_database, help="The role's password.")
    ] = None
    database_ca_file: Annotated[
        Path | None,
        Parameter(
            env_var="WARREN_DATABASE_CA_FILE", group=_database, help="The CA that signed the server's certificate."
        ),
    ] = None

    def address(self) -> DatabaseAddress:
        """Raises ClientError without an option and without a running `warren up`."""
        from warren_messaging.postgres.database import DatabaseAddress

        if self.database_url:
            return DatabaseAddress(self.database_url, self.database_password_file, self.database_ca_file)
        folder, ports = _running_system("--database-url")
        url = f"postgresql://postgres@127.0.0.1:{ports['postgres']}/warren"
        return DatabaseAddress(url, folder / "secrets" / "postgres-admin", folder / "certificates" / "trust" / "ca.crt")


def database_beside(broker: BrokerAccess, database: DatabaseAccess) -> DatabaseAccess | None:
    """Return the database that belongs to the broker.

    None if only the broker is given: the tables of the local `warren up` do not describe another broker's messages.
    """
    if broker.broker_url and not database.database_url:
        return None
    if database.database_url and not broker.broker_url:
        raise ClientError("--broker-url is missing: the local broker does not belong to the given database")
    return database


def _running_system(instead: str) -> tuple[Path, dict[str, int]]:
    instance = running_instance()
    if instance is None:
        raise ClientError(
            f"nothing is running in this checkout: start it with `warren up`, or give {instead} (see --help)"
        )
    return instance.dir, json.loads((instance.dir / "ports.json").read_text())
