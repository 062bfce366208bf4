"""The backends without a broker: the test harness of the library, in memory and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.shared.contracts import CATALOGUE, AnyEvent
from tests.conformance.backend import DeadLetter, Feature, RecordingTransaction
from tests.conformance.servers_backend import SqlRecordingTransaction
from tests.service_replica import ServiceDatabase
from warren_messaging import Database, RetryPolicy, Verdict
from warren_messaging.testing import ConsumerHarness, InMemoryDatabase

TABLES = ("recorded", "inbox", "outbox", "sequences", "failures", "scheduled")


@dataclass
class HarnessQueue:
    """One queue, consumed by one harness for each replica; the harnesses share a database."""

    _harnesses: Sequence[ConsumerHarness[Any]]
    _recorded: list[UUID]
    _sizes: list[int]
    _db: ServiceDatabase | None

    async def deliver(self, *messages: AnyEvent | bytes, user: str | None = None, together: bool = False) -> None:
        for number, message in enumerate(messages):
            self._harnesses[number % len(self._harnesses)].enqueue(message, user=user)
        await asyncio.gather(*(each.run() for each in self._harnesses))

    async def recorded(self) -> list[UUID]:
        if self._db is None:
            return self._recorded
        return [row["id"] for row in await self._db.sql("TABLE conformance.recorded")]

    async def announced(self) -> list[AnyEvent]:
        return [event for each in self._harnesses for event in each.events]

    async def parked(self) -> list[DeadLetter]:
        return [DeadLetter(each.body, each.reason, each.attempts) for one in self._harnesses for each in one.parked]

    async def advance(self, seconds: float) -> None:
        await asyncio.gather(*(each.advance(seconds) for each in self._harnesses))

    async def scheduled(self) -> list[UUID]:
        return [message.event.id for message in await self._harnesses[0].scheduled()]

    def repeated(self) -> int:
        return sum(len(each.repeated) for each in self._harnesses)

    def failures(self) -> list[tuple[str, int, bool]]:
        return [
            (attempt.reason, attempt.number, attempt.verdict is Verdict.DEAD_LETTER)
            for each in self._harnesses
            for attempt in each.attempts
            if attempt.reason is not None
        ]

    def batches(self) -> list[int]:
        return self._sizes

    def now(self) -> float:
        return self._harnesses[0].clock


class InMemoryBackend:
    """No broker and no database."""

    features: frozenset[Feature] = frozenset()

    @asynccontextmanager
    async def consume(self, handlers: Any, *, attempts: int = 3, replicas: int = 1) -> AsyncIterator[HarnessQueue]:
        recorded: list[UUID] = []
        sizes: list[int] = []

        class Recording(RecordingTransaction):
            async def load(self, events: Sequence[AnyEvent]) -> None:
                sizes.append(len(events))

            async def save(self) -> None:
                recorded.extend(event.logicalid for event in self.recorded)

        database = InMemoryDatabase()
        harnesses = [harness(handlers, Recording, database, attempts) for _ in range(replicas)]
        yield HarnessQueue(harnesses, recorded, sizes, None)


class PostgresBackend:
    """No broker; a real database, emptied before each use."""

    features = frozenset({Feature.SQL})

    def __init__(self, db: ServiceDatabase) -> None:
        self._db = db

    @asynccontextmanager
    async def consume(self, handlers: Any, *, attempts: int = 3, replicas: int = 1) -> AsyncIterator[HarnessQueue]:
        await self._db.sql("CREATE TABLE IF NOT EXISTS conformance.recorded (id uuid)")
        await self._db.sql(f"TRUNCATE {', '.join(f'conformance.{table}' for table in TABLES)}")
        await self._db.sql("GRANT ALL ON conformance.recorded TO conformance")
        sizes: list[int] = []

        class Recording(SqlRecordingTransaction):
            async def load(self, events: Sequence[AnyEvent]) -> None:
                sizes.append(len(events))

        async with AsyncExitStack() as stack:
            databases = [Database(self._db.address("conformance")) for _ in range(replicas)]
            for database in databases:
                await database.open()
                stack.push_async_callback(database.close)
            harnesses = [harness(handlers, Recording, each, attempts) for each in databases]
            yield HarnessQueue(harnesses, [], sizes, self._db)


def harness(handlers: Any, transaction: Any, database: Database, attempts: int) -> ConsumerHarness[Any]:
    retry = RetryPolicy(attempts=attempts)
    return ConsumerHarness(
        handlers,
        transaction,
        service="probe",
        database=database,
        retry=retry,
        retry_min_seconds=0.1,
        catalogue=CATALOGUE,
    )
