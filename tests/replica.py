"""One replica of a service on the real database, without a broker: deliveries in, verdicts and events out."""

import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from devtools.servers.servers import Servers
from services.migrate import SCHEMAS
from services.shared.chassis.migrations import ServiceSchema, prepare_database
from services.shared.contracts import CATALOGUE, AnyEvent
from tests.stage import Record
from warren_messaging import codec
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.codec import Codec
from warren_messaging.consumer.processor import Processor, Verdict
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.relay import Relay
from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.testing import delivery_of
from warren_messaging.transaction import Connection, Transaction

_tags = itertools.count(1)
_codec = Codec(CATALOGUE)


class Base:
    """A fresh database with the schemas of some services, and addresses for their roles."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._postgres = servers.postgres.address
        self._folder = folder
        self.name = f"test_{secrets.token_hex(4)}"

    async def prepare(self, *schemas: str) -> None:
        for schema in schemas:
            secret = self._folder / f"{schema}-postgres" / "password"
            secret.parent.mkdir(parents=True)
            # Roles belong to the whole server: tests share one password.
            secret.write_text("test-password")
        postgres = self._postgres
        url = f"postgresql://{postgres.admin_username}@{postgres.host}:{postgres.port}/{self.name}"
        found = [SCHEMAS.get(name, ServiceSchema(name)) for name in schemas]
        await prepare_database(url, postgres.admin_password, postgres.ca_file, self._folder, found)

    def address(self, role: str) -> DatabaseAddress:
        url = f"postgresql://{role}@{self._postgres.host}:{self._postgres.port}/{self.name}"
        return DatabaseAddress(url, self._folder / f"{role}-postgres" / "password", self._postgres.ca_file)

    @property
    def owner_dsn(self) -> str:
        """For a connection as the owner."""
        return self._postgres.dsn(self.name)

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        """As the owner; table names need their schema."""
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def said(self, service: str) -> list[AnyEvent]:
        """Everything that the service has announced, in the order of its commits as far as there is one."""
        rows = await self.sql(f"SELECT body FROM {service}.outbox ORDER BY position")  # noqa: S608
        return [_codec.decode(row[0]) for row in rows]


class Replica:
    """Processes deliveries as a consumer would; nothing leaves the outbox."""

    def __init__(self, service: str, database: Database, handlers: Any, transaction: Any) -> None:
        self.record = Record()
        self.database = database
        relay = Relay(database, Publisher(BrokerAddress("", Path(), Path()), service), self.record)
        self.outbox = Outbox(database, relay, source=f"/warren/{service}", exchange="order.exchange")
        self._transaction: Callable[[Connection], Transaction] = transaction
        self._processor = Processor(
            consumer=service,
            handlers=handlers,
            transaction=transaction,
            codec=_codec,
            database=database,
            outbox=self.outbox,
            telemetry=self.record,
            retry=RetryPolicy(attempts=100),
        )

    async def process(self, *events: AnyEvent, returned: bool = False) -> list[Verdict]:
        """One batch; the verdict on each event."""
        return await self.take(*map(codec.encode, events), returned=returned)

    async def take(self, *bodies: bytes, returned: bool = False) -> list[Verdict]:
        """The same with bodies, whatever is in them."""
        deliveries = [delivery_of(body, tag=next(_tags), returned=returned) for body in bodies]
        verdicts: dict[int, Verdict] = {}
        await self._processor.process(deliveries, lambda delivery, verdict: verdicts.update({delivery.tag: verdict}))
        return [verdicts[delivery.tag] for delivery in deliveries]

    async def tick(self, work: Callable[[Any], Any]) -> int:
        """One round of a Ticker."""
        async with self.outbox.transaction(self._transaction) as transaction:
            return int(await work(transaction))


@asynccontextmanager
async def replica(base: Base, service: str, handlers: Any, transaction: Any) -> AsyncIterator[Replica]:
    database = Database(base.address(service))
    await database.open()
    try:
        yield Replica(service, database, handlers, transaction)
    finally:
        await database.close()


def again(event: AnyEvent) -> AnyEvent:
    """The same words said anew: another event, not a repetition."""
    identity = codec.new_id()
    return msgspec.structs.replace(event, id=identity, logicalid=identity)


def types(events: Sequence[AnyEvent], subject: object) -> list[str]:
    return [event.type for event in events if event.subject == subject]
