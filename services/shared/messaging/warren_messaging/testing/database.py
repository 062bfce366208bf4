"""A database that holds only the library's own tables, in memory.

It recognises the statements of inbox, outbox, failures and scheduled messages by verb and table, so the real code that
sends them runs. It refuses any other statement with `NeedsDatabase`, so that no test passes because SQL was ignored.

Transactions run one after the other, and a failed one is undone.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, cast
from uuid import UUID

import msgspec

from warren_messaging import codec
from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.postgres.scheduled import ScheduledRow
from warren_messaging.transaction import Connection

T = TypeVar("T")


class NeedsDatabase(Exception):
    """A handler or its transaction ran SQL without a database. Give the harness one."""


class FailureRow(msgspec.Struct, frozen=True):
    """One row of the table `failures`."""

    attempts: int
    reason: str
    state: str
    replays: int


class Tables(msgspec.Struct):
    inbox: set[tuple[str, UUID]] = msgspec.field(default_factory=set)
    sequences: dict[UUID, int] = msgspec.field(default_factory=dict)
    failures: dict[tuple[str, str], FailureRow] = msgspec.field(default_factory=dict)
    scheduled: dict[UUID, ScheduledRow] = msgspec.field(default_factory=dict)

    def copy(self) -> "Tables":
        return Tables(self.inbox.copy(), self.sequences.copy(), self.failures.copy(), self.scheduled.copy())


class InMemoryDatabase(Database):
    """Harnesses that share one are replicas of one service."""

    def __init__(self) -> None:
        super().__init__(DatabaseAddress("memory"))
        self._lock = asyncio.Lock()
        self._positions = itertools.count(1)
        self.tables = Tables()
        self.refused: NeedsDatabase | None = None
        """The first refused statement. A handler may catch the error; a test must fail."""

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def probe(self) -> None:
        """Do nothing: it is always available."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        async with self._lock:
            yield cast(Connection, _Connection(self, self._positions))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.connection() as connection:
            before = self.tables.copy()
            try:
                yield connection
            except BaseException:
                self.tables = before
                raise


class _Connection:
    """The methods of a driver's connection that the library uses."""

    def __init__(self, database: InMemoryDatabase, positions: "itertools.count[int]") -> None:
        self._database = database
        self._positions = positions
        self._answers: dict[str, Callable[..., list[tuple[Any, ...]]]] = {
            "INSERT INTO inbox": self._insert_keys,
            "SELECT dedup_key FROM inbox": self._find_keys,
            "INSERT INTO sequences": self._count,
            "INSERT INTO outbox": self._store,
            "INSERT INTO failures": self._fail,
            "UPDATE failures": self._succeed,
            "INSERT INTO scheduled": self._schedule,
            "WITH due AS": self._lock_due,
            "DELETE FROM scheduled WHERE id IN (SELECT id": self._unschedule,
            "DELETE FROM scheduled WHERE id IN (SELECT s.id": self._unschedule_about,
            "UPDATE scheduled": self._postpone,
            "SELECT id, due_at, exchange, body FROM scheduled": self._find_scheduled,
        }

    async def fetch(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        words = " ".join(statement.split())
        answer = next((answer for opening, answer in self._answers.items() if words.startswith(opening)), None)
        return self._refuse(words) if answer is None else answer(*arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> tuple[Any, ...] | None:
        return next(iter(await self.fetch(statement, *arguments)), None)

    async def execute(self, statement: str, *arguments: Any) -> str:
        await self.fetch(statement, *arguments)
        return ""

    def __getattr__(self, name: str) -> NoReturn:
        self._refuse(f"Connection.{name}")

    def _refuse(self, used: str) -> NoReturn:
        error = NeedsDatabase(f"this harness has no database, and a handler used one: {used[:200]}")
        self._database.refused = self._database.refused or error
        raise error

    # The statements, with their arguments, in the order of the table above

    def _insert_keys(self, consumer: str, dedup_keys: str) -> list[tuple[Any, ...]]:
        inbox = self._database.tables.inbox
        new = [key for key in _elements(dedup_keys, UUID) if (consumer, key) not in inbox]
        inbox.update((consumer, key) for key in new)
        return [(key,) for key in new]

    def _find_keys(self, consumer: str, dedup_keys: str) -> list[tuple[Any, ...]]:
        inbox = self._database.tables.inbox
        return [(key,) for key in _elements(dedup_keys, UUID) if (consumer, key) in inbox]

    def _count(self, subjects: str, counts: str) -> list[tuple[Any, ...]]:
        sequences = self._database.tables.sequences
        ids = _elements(subjects, UUID)
        for subject, count in zip(ids, _elements(counts, int), strict=True):
            sequences[subject] = sequences.get(subject, 0) + count
        return [(subject, sequences[subject]) for subject in ids]

    def _store(self, _exchanges: list[str], chosen: str, *_: Any) -> list[tuple[Any, ...]]:
        return [(next(self._positions),) for _ in _elements(chosen, int)]

    def _fail(
        self, consumer: str, key: str, event_type: str, subject: UUID, reason: str, limit: int | None, replays: int
    ) -> list[tuple[Any, ...]]:
        failures = self._database.tables.failures
        known = failures.get((consumer, key))
        same_replay = known is not None and replays <= known.replays and known.state != "dropped"
        attempts = known.attempts + 1 if known is not None and same_replay else 1
        parked = limit is None or attempts >= limit or (known is not None and same_replay and known.state == "parked")
        latest = max(replays, known.replays if known is not None else 0)
        failures[consumer, key] = FailureRow(attempts, reason, "parked" if parked else "retrying", latest)
        return [(attempts, parked)]

    def _succeed(self, consumer: str, keys: Sequence[str]) -> list[tuple[Any, ...]]:
        failures = self._database.tables.failures
        for key in keys:
            if known := failures.get((consumer, key)):
                failures[consumer, key] = msgspec.structs.replace(known, state="succeeded")
        return []

    def _schedule(
        self,
        ids: str,
        times: Sequence[datetime],
        types: Sequence[str],
        subjects: str,
        exchanges: Sequence[str],
        bodies: Sequence[bytes],
        expiries: str,
    ) -> list[tuple[Any, ...]]:
        for row in zip(
            _elements(ids, UUID),
            times,
            types,
            _elements(subjects, UUID),
            exchanges,
            bodies,
            _elements(expiries, int | None),  # type: ignore[arg-type]
            strict=True,
        ):
            self._database.tables.scheduled[row[0]] = ScheduledRow(*row)
        return []

    def _lock_due(self, limit: int, ahead: float) -> list[tuple[Any, ...]]:
        end = codec.now() + timedelta(seconds=ahead)
        due = [row for row in self._by_time() if row.due_at <= end]
        return [(row.id, row.exchange, row.body, row.expires_ms) for row in due[:limit]]

    def _unschedule(self, ids: str) -> list[tuple[Any, ...]]:
        for row_id in _elements(ids, UUID):
            self._database.tables.scheduled.pop(row_id, None)
        return []

    def _unschedule_about(self, subjects: str, types: Sequence[str]) -> list[tuple[Any, ...]]:
        keys = set(zip(_elements(subjects, UUID), types, strict=True))
        rows = self._database.tables.scheduled
        for row_id in [row.id for row in rows.values() if (row.subject, row.event_type) in keys]:
            del rows[row_id]
        return []

    def _postpone(self, ids: str, seconds: float) -> list[tuple[Any, ...]]:
        rows, due_at = self._database.tables.scheduled, codec.now() + timedelta(seconds=seconds)
        rows.update({row_id: msgspec.structs.replace(rows[row_id], due_at=due_at) for row_id in _elements(ids, UUID)})
        return []

    def _find_scheduled(self) -> list[tuple[Any, ...]]:
        return [(row.id, row.due_at, row.exchange, row.body) for row in self._by_time()]

    def _by_time(self) -> list[ScheduledRow]:
        return sorted(self._database.tables.scheduled.values(), key=attrgetter("due_at"))  # stable: equal times


def _elements(literal: str, kind: type[T]) -> list[T]:
    """Return the values of an array literal (`postgres.values.array_literal`)."""
    return [msgspec.convert(each, kind) for each in msgspec.json.decode(f"[{literal[1:-1]}]")]
