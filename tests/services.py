"""Support for the tests of services: settings without servers, tokens, and replicas on a fresh database."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import jwt
import pytest

from devtools.servers.servers import Servers
from services.shared.chassis.settings import ProcessSettings
from services.shared.contracts import AnyEvent
from services.shared.contracts.notifications import NotificationRequested
from services.shared.contracts.orders import Contact
from tests.service_replica import Replica, ServiceDatabase, replica
from warren_messaging.postgres.database import DatabaseAddress
from warren_messaging.testing import event_of

S = TypeVar("S", bound=ProcessSettings)

ENVIRONMENT = {
    "WARREN_DATABASE_URL": "postgresql://role@localhost/warren",
    "WARREN_DATABASE_PASSWORD_FILE": "/run/password",
    "WARREN_DATABASE_CA_FILE": "/run/ca.pem",
    "WARREN_BROKER_URL": "amqps://localhost/orders",
    "WARREN_BROKER_CREDENTIALS": "/run/broker",
    "WARREN_BROKER_CA_FILE": "/run/ca.pem",
}
"""The variables that every process requires."""


def settings_of(kind: type[S], database: DatabaseAddress | None = None, **fields: Any) -> S:
    """Settings for parts that open no connection, or only one to `database`."""
    required = {
        "database_url": database.url if database else "",
        "database_password_file": database.password_file if database else Path(),
        "database_ca_file": database.ca_file if database else Path(),
        "broker_url": "",
        "broker_credentials": Path(),
        "broker_ca_file": Path(),
    }
    return kind(**(required | fields))


def bearer(key: str, **claims: Any) -> dict[str, str]:
    """The Authorization header of a token that is valid for a minute, unless `claims` change that."""
    return {"Authorization": f"Bearer {jwt.encode({'sub': 'ada', 'exp': time.time() + 60} | claims, key)}"}


def notification(title: str = "Title", text: str = "Text", **contact: str | None) -> AnyEvent:
    data = NotificationRequested(customer="ada", contact=Contact(**contact), topic="order.paid", title=title, text=text)
    return event_of(data)


def database_fixture(*schemas: str) -> Any:
    """A module-scoped fixture `db`: a fresh database with these schemas."""

    @pytest.fixture(scope="module")
    def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
        db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
        asyncio.run(db.prepare(*schemas))
        yield db

    return db


@asynccontextmanager
async def two_replicas(
    db: ServiceDatabase, service: str, handlers: Any, transaction: Any
) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replica(db, service, handlers, transaction) as one, replica(db, service, handlers, transaction) as two:
        yield one, two
