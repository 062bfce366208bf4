"""One replica of a service on a real database without a broker: takes deliveries, returns verdicts, stores events."""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg

from devtools.servers.servers import Servers
from services.migrate import SCHEMAS
from services.shared.chassis.migrations import ServiceSchema, prepare_database
from services.shared.contracts import CATALOGUE, AnyEvent
from tests.messaging_env import RecordingTelemetry
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.codec import Codec
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.consumer.processor import Processor
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.relay import Relay
from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.testing import delivery_of
from warren_messaging.transaction import Connection, Transaction

_tags = itertools.count(1)
CONTRACTS_CODEC = Codec(CATALOGUE)


class ServiceDatabase:
    """A new database with the schemas of the given services, and the addresses that their roles use."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._postgres = servers.postgres.endpoint
        self._folder = folder
        self.name = f"test_{secrets.token_hex(4)}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Drop the database."""
        await self._postgres.drop(self.name)

    async def prepare(self, *schemas: str) -> None:
        for schema in schemas:
            secret = self._folder / f"{schema}-postgres" / "password"
            secret.parent.mkdir(parents=True)
            # Roles belong to the whole server, so all tests use one password.
            secret.write_text("test-password")
        postgres, url = self._postgres, self._postgres.url(self.name)
        found = [SCHEMAS.get(name, ServiceSchema(name)) for name in schemas]
        await prepare_database(url, postgres.admin_password, postgres.ca_file, self._folder, found)

    def address(self, role: str) -> DatabaseAddress:
        url = f"postgresql://{role}@{self._postgres.host}:{self._postgres.port}/{self.name}"
        return DatabaseAddress(url, self._folder / f"{role}-postgres" / "password", self._postgres.ca_file)

    @property
    def owner_dsn(self) -> str:
        """Address of the database for its owner."""
        return self._postgres.dsn(self.name)

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement as the owner; table names need their schema."""
        async with self._postgres.connection(self.name) as connection:
            return list(await connection.fetch(statement, *arguments))

    @asynccontextmanager
    async def connection(self, role: str, database: str | None = None) -> AsyncIterator[Connection]:
        """Log in as a role for a block, by default in this database."""
        address = self.address(role)
        login = {"password": address.password(), "ssl": address.tls(), "database": database}
        connection = await asyncpg.connect(address.url, **login)
        try:
            yield connection
        finally:
            await connection.close()

    async def outbox_events(self, service: str) -> list[AnyEvent]:
        """Return all events that the service announced, by outbox position."""
        rows = await self.sql(f"SELECT body FROM {service}.outbox ORDER BY position")  # noqa: S608
        return [CONTRACTS_CODEC.decode(row[0]) for row in rows]


class Replica:
    """Processes deliveries as a consumer does. Its relay does not run, so announced events stay in the outbox."""

    def __init__(
        self, service: str, database: Database, handlers: Any, transaction: Any, codec: Codec = CONTRACTS_CODEC
    ) -> None:
        self.telemetry = RecordingTelemetry()
        self.database = database
        relay = Relay(database, Publisher(BrokerAddress("", Path(), Path()), service), self.telemetry)
        self.outbox = Outbox(database, relay, source=f"/warren/{service}", exchange="order.exchange")
        self._transaction: Callable[[Connection], Transaction] = transaction
        self._processor = Processor(
            consumer=service,
            handlers=handlers,
            transaction=transaction,
            codec=codec,
            database=database,
            outbox=self.outbox,
            telemetry=self.telemetry,
            retry=RetryPolicy(attempts=100),
        )

    async def process(self, *messages: AnyEvent | bytes, returned: bool = False) -> list[Verdict]:
        """Process events or message bodies as one batch and return the verdict on each."""
        deliveries = [delivery_of(message, tag=next(_tags), returned=returned) for message in messages]
        verdicts: dict[int, Verdict] = {}
        await self._processor.process(deliveries, lambda delivery, verdict: verdicts.update({delivery.tag: verdict}))
        return [verdicts[delivery.tag] for delivery in deliveries]

    async def run_job(self, job: Callable[[Any], Any]) -> int:
        """Run one round of a periodic job."""
        async with self.outbox.transaction(self._transaction) as transaction:
            return int(await job(transaction))


@asynccontextmanager
async def replica(
    db: ServiceDatabase, service: str, handlers: Any, transaction: Any, codec: Codec = CONTRACTS_CODEC
) -> AsyncIterator[Replica]:
    """A replica with an open connection pool."""
    database = Database(db.address(service))
    await database.open()
    try:
        yield Replica(service, database, handlers, transaction, codec)
    finally:
        await database.close()


def types_of(events: Sequence[AnyEvent], subject: object) -> list[str]:
    return [event.type for event in events if event.subject == subject]
