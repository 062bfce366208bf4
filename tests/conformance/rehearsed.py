"""The suite on the doubles that authors of handlers get, without a database and with one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from services.shared.contracts import CATALOGUE, AnyEvent
from tests.conformance.driver import Feature, Lost, Notes
from tests.conformance.staged import SqlNotes
from tests.service_replica import ServiceDatabase
from warren_messaging import Database, RetryPolicy
from warren_messaging.testing import ConsumerHarness, InMemoryDatabase

TABLES = ("seen", "inbox", "outbox", "sequences", "failures")


class Rehearsed:
    """One line, of one or several rehearsals that share a database."""

    def __init__(
        self, rehearsals: Sequence[ConsumerHarness[Any]], kept: list[UUID], sizes: list[int], db: ServiceDatabase | None
    ) -> None:
        self._rehearsals = rehearsals
        self._kept = kept
        self._sizes = sizes
        self._db = db

    async def deliver(self, *messages: AnyEvent | bytes, user: str | None = None, together: bool = False) -> None:
        for number, message in enumerate(messages):
            self._rehearsals[number % len(self._rehearsals)].enqueue(message, user=user)
        await asyncio.gather(*(each.run() for each in self._rehearsals))

    async def noted(self) -> list[UUID]:
        return self._kept if self._db is None else [row["id"] for row in await self._db.sql("TABLE conformance.seen")]

    async def announced(self) -> list[AnyEvent]:
        return [event for each in self._rehearsals for event in each.events]

    async def parked(self) -> list[Lost]:
        return [Lost(lost.body, lost.reason, lost.attempts) for each in self._rehearsals for lost in each.parked]

    def repeated(self) -> int:
        return sum(len(each.repeated) for each in self._rehearsals)

    def failures(self) -> list[tuple[str, int, bool]]:
        return [
            (attempt.reason, attempt.number, attempt.verdict.name == "DEAD_LETTER")
            for each in self._rehearsals
            for attempt in each.attempts
            if attempt.reason is not None
        ]

    def batches(self) -> list[int]:
        return self._sizes

    def now(self) -> float:
        return self._rehearsals[0].clock


class InMemory:
    """Neither broker nor database."""

    features: frozenset[Feature] = frozenset()

    @asynccontextmanager
    async def consume(self, handlers: Any, *, attempts: int = 3, replicas: int = 1) -> AsyncIterator[Rehearsed]:
        kept: list[UUID] = []
        sizes: list[int] = []

        class Kept(Notes):
            async def load(self, events: Sequence[AnyEvent]) -> None:
                sizes.append(len(events))

            async def save(self) -> None:
                kept.extend(event.logicalid for event in self.noted)

        database = InMemoryDatabase()
        yield Rehearsed([rehearsal(handlers, Kept, database, attempts) for _ in range(replicas)], kept, sizes, None)


class OnPostgres:
    """No broker, a real database, which is emptied each time."""

    features = frozenset({Feature.SQL})

    def __init__(self, db: ServiceDatabase) -> None:
        self._db = db

    @asynccontextmanager
    async def consume(self, handlers: Any, *, attempts: int = 3, replicas: int = 1) -> AsyncIterator[Rehearsed]:
        await self._db.sql("CREATE TABLE IF NOT EXISTS conformance.seen (id uuid)")
        await self._db.sql(f"TRUNCATE {', '.join(f'conformance.{table}' for table in TABLES)}")
        await self._db.sql("GRANT ALL ON conformance.seen TO conformance")
        sizes: list[int] = []

        class Kept(SqlNotes):
            async def load(self, events: Sequence[AnyEvent]) -> None:
                sizes.append(len(events))

        async with AsyncExitStack() as stack:
            databases = [Database(self._db.address("conformance")) for _ in range(replicas)]
            for database in databases:
                await database.open()
                stack.push_async_callback(database.close)
            yield Rehearsed([rehearsal(handlers, Kept, each, attempts) for each in databases], [], sizes, self._db)


def rehearsal(handlers: Any, transaction: Any, database: Database, attempts: int) -> ConsumerHarness[Any]:
    return ConsumerHarness(
        handlers,
        transaction,
        service="probe",
        database=database,
        retry=RetryPolicy(attempts=attempts),
        first_wait=0.1,
        catalogue=CATALOGUE,
    )
