"""The suite on RabbitMQ and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from services.shared.contracts import CATALOGUE, AnyEvent
from tests.conformance.driver import Feature, Lost, Notes
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import Codec, encode

_codec = Codec(CATALOGUE, tolerant=True)


class SqlNotes(Notes):
    async def save(self) -> None:
        await self.connection.executemany("INSERT INTO seen VALUES ($1)", [(event.logicalid,) for event in self.noted])


async def prepared(env: MessagingEnv) -> None:
    """The table for notes. Repetitions are allowed in it: that there are none is what tests are about."""
    await env.sql("CREATE TABLE IF NOT EXISTS seen (id uuid)")


class Staged:
    """One line: a queue on the env and the consumers of it."""

    def __init__(self, env: MessagingEnv, sizes: list[int], gate: asyncio.Event) -> None:
        self._env = env
        self._sizes = sizes
        self._gate = gate
        self._sent = 0
        self._arrived: list[AnyEvent] = []
        self._parked: list[bytes] = []

    async def deliver(self, *messages: AnyEvent | bytes, user: str | None = None, together: bool = False) -> None:
        bodies = [message if isinstance(message, bytes) else encode(message) for message in messages]
        self._sent += len(bodies)
        if together:
            self._gate.clear()
        await self._env.send(*bodies, **({} if user is None else {"user_id": user or None}))
        self._gate.set()
        await eventually(self._at_rest, what="the queue does not come to rest")

    async def _at_rest(self) -> bool:
        telemetry = self._env.telemetry
        parked = sum(last for _, _, last in telemetry.failures)
        if len(telemetry.processed_events) + len(telemetry.repeated_events) + parked < self._sent:
            return False
        self._parked += [bytes(message.body) for message in await self._env.drain("probe.dlq")]
        waiting = (await self._env.sql("SELECT count(*) FROM outbox"))[0][0]
        return len(self._parked) == parked and waiting == 0 and await self._env.depth("probe.queue") == 0

    async def noted(self) -> list[UUID]:
        return [row["id"] for row in await self._env.sql("TABLE seen")]

    async def announced(self) -> list[AnyEvent]:
        self._arrived += [_codec.decode(message.body) for message in await self._env.drain("announced.queue")]
        return self._arrived

    async def parked(self) -> list[Lost]:
        # A reason is on record by the logical id or, of what cannot be read, by the body's hash.
        rows = await self._env.sql(
            "SELECT b.body, f.reason, f.attempts FROM unnest($1::bytea[]) AS b (body) JOIN failures f"
            " ON f.state = 'parked' AND (f.key = encode(sha256(b.body), 'hex')"
            "   OR position(convert_to(f.key, 'UTF8') in b.body) > 0)",
            self._parked,
        )
        assert len(rows) == len(self._parked), "a parked message has no reason on record, or several"
        return [Lost(bytes(row["body"]), row["reason"], row["attempts"]) for row in rows]

    def repeated(self) -> int:
        return len(self._env.telemetry.repeated_events)

    def failures(self) -> Sequence[tuple[str, int, bool]]:
        return self._env.telemetry.failures

    def batches(self) -> list[int]:
        return self._sizes

    def now(self) -> float:
        return asyncio.get_running_loop().time()


class OnServers:
    """A real broker and a real database."""

    features = frozenset({Feature.SQL, Feature.BROKER, Feature.PROCESSES})

    def __init__(self, env: MessagingEnv) -> None:
        self._env = env

    @asynccontextmanager
    async def consume(self, handlers: Any, *, attempts: int = 3, replicas: int = 1) -> AsyncIterator[Staged]:
        await prepared(self._env)
        sizes: list[int] = []
        gate = asyncio.Event()
        gate.set()

        class Kept(SqlNotes):
            async def load(self, events: Sequence[AnyEvent]) -> None:
                sizes.append(len(events))
                await gate.wait()

        async with self._env.channel() as channel:
            # What is announced is looked at, and does not come back.
            await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
            await channel.queue_declare("announced.queue", durable=True, arguments={"x-queue-type": "quorum"})
            await channel.queue_bind("announced.queue", "order.exchange", "#")
        async with AsyncExitStack() as stack:
            for _ in range(replicas):
                await stack.enter_async_context(
                    self._env.consumer(handlers, transaction=Kept, attempts=attempts, prefetch=200 // replicas)
                )
            yield Staged(self._env, sizes, gate)
