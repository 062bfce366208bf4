"""The backend on RabbitMQ and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from services.shared.contracts import CATALOGUE, AnyEvent
from tests.conformance.backend import DeadLetter, Feature, RecordingTransaction
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import Codec, encode

_codec = Codec(CATALOGUE, tolerant=True)


class SqlRecordingTransaction(RecordingTransaction):
    """Stores records in a table that allows repetitions, so that tests can prove that there are none."""

    async def save(self) -> None:
        records = [(event.logicalid,) for event in self.recorded]
        await self.connection.executemany("INSERT INTO recorded VALUES ($1)", records)


@dataclass
class BrokerQueue:
    """A queue at the broker with running consumers."""

    _env: MessagingEnv
    _sizes: list[int]
    _gate: asyncio.Event
    _sent: int = 0
    _arrived: list[AnyEvent] = field(default_factory=list)
    _parked: list[bytes] = field(default_factory=list)

    async def deliver(self, *messages: AnyEvent | bytes, user: str | None = None, together: bool = False) -> None:
        bodies = [message if isinstance(message, bytes) else encode(message) for message in messages]
        self._sent += len(bodies)
        if together:
            self._gate.clear()
        await self._env.send(*bodies, **({} if user is None else {"user_id": user or None}))
        self._gate.set()
        await eventually(self._idle, what="the queue is not empty in time")

    async def _idle(self) -> bool:
        telemetry = self._env.telemetry
        parked = sum(last for _, _, last in telemetry.failures)
        if len(telemetry.processed_events) + len(telemetry.repeated_events) + parked < self._sent:
            return False
        self._parked += [bytes(message.body) for message in await self._env.drain("probe.dlq")]
        waiting = await self._env.unpublished_count()
        return len(self._parked) == parked and waiting == 0 and await self._env.depth("probe.queue") == 0

    async def recorded(self) -> list[UUID]:
        return await self._env.recorded()

    async def announced(self) -> list[AnyEvent]:
        self._arrived += [_codec.decode(message.body) for message in await self._env.drain("announced.queue")]
        return self._arrived

    async def parked(self) -> list[DeadLetter]:
        # A failure is recorded under the logical id or, if the body cannot be decoded, under its hash.
        rows = await self._env.sql(
            "SELECT b.body, f.reason, f.attempts FROM unnest($1::bytea[]) AS b (body) JOIN failures f"
            " ON f.state = 'parked' AND (f.key = encode(sha256(b.body), 'hex')"
            "   OR position(convert_to(f.key, 'UTF8') in b.body) > 0)",
            self._parked,
        )
        assert len(rows) == len(self._parked), "a parked message has no recorded failure, or several"
        return [DeadLetter(bytes(row["body"]), row["reason"], row["attempts"]) for row in rows]

    async def advance(self, seconds: float) -> None:
        await self._env.advance(seconds)
        await eventually(self._idle, what="a due message is not published in time")

    async def scheduled(self) -> list[UUID]:
        return [row[0] for row in await self._env.sql("SELECT id FROM scheduled ORDER BY due_at, position")]

    def repeated(self) -> int:
        return len(self._env.telemetry.repeated_events)

    def failures(self) -> Sequence[tuple[str, int, bool]]:
        return self._env.telemetry.failures

    def batches(self) -> list[int]:
        return self._sizes

    def now(self) -> float:
        return asyncio.get_running_loop().time()


class ServersBackend:
    """A real broker and a real database."""

    features = frozenset({Feature.SQL, Feature.BROKER, Feature.PROCESSES})

    def __init__(self, env: MessagingEnv) -> None:
        self._env = env

    @asynccontextmanager
    async def consume(self, handlers: Any, *, attempts: int = 3, replicas: int = 1) -> AsyncIterator[BrokerQueue]:
        await self._env.separate_announcements()
        sizes: list[int] = []
        gate = asyncio.Event()
        gate.set()

        class Recording(SqlRecordingTransaction):
            async def load(self, events: Sequence[AnyEvent]) -> None:
                sizes.append(len(events))
                await gate.wait()

        async with AsyncExitStack() as stack:
            for _ in range(replicas):
                await stack.enter_async_context(self._env.due_message_mover())
                await stack.enter_async_context(
                    self._env.consumer(handlers, transaction=Recording, attempts=attempts, prefetch=200 // replicas)
                )
            yield BrokerQueue(self._env, sizes, gate)
