"""Brings committed events to the broker: straight from memory, with a sweeper for what a crash left.

A stored row carries its owner and a lease by the database's clock. The owner publishes from memory, renews the
lease while that takes long, and removes the row once the broker has confirmed it. Only rows whose lease has
ended are taken by a sweeper, of any replica: a faultless run publishes each event exactly once, a fault may
repeat some, and none is lost.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID, uuid4

import asyncpg
import msgspec

from warren_messaging.amqp.connection import RELOAD_SECONDS
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.amqp.publisher import Message, Publisher
from warren_messaging.codec import Codec, uuid_text
from warren_messaging.errors import (
    ConfigurationError,
    PermanentError,
    Unavailable,
)
from warren_messaging.events import AnyEvent
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.values import array_literal, text_value
from warren_messaging.telemetry import Telemetry

_codec = Codec({}, tolerant=True)  # the data is published as it is stored

_TROUBLE = (Unavailable, ConfigurationError, TimeoutError, asyncpg.PostgresError)
"""Of a server, of the settings and secrets that lead to it (a secret may be missing while it is rotated), or of other
sessions that hold what a statement needs."""


class RelaySettings(msgspec.Struct, frozen=True):
    lease_seconds: float = 10.0
    sweep_seconds: float = 1.0
    window: int = 500
    """Messages that share one wait for confirms."""
    capacity: int = 10_000
    """Events held in memory; more than that wait in the table for the sweeper."""
    max_pause_seconds: float = 5.0
    """Between two attempts to reach a broker that is away."""


class OutboxEntry(msgspec.Struct):
    """One stored event that this process is to publish."""

    event: AnyEvent
    message: Message
    position: int = 0
    leased_at: float = 0.0
    """time.monotonic() when the lease was last known to begin."""


class PublishSlot:
    """A place in the publishing order, taken before the commit and filled after it.

    `lease_seconds` is what the rows must be stored with: 0 when memory is full, so that the sweeper takes them.
    """

    def __init__(self, relay: "Relay", owner: UUID, lease_seconds: float) -> None:
        self._relay = relay
        self._began = time.monotonic()
        self.owner = owner
        self.lease_seconds = lease_seconds
        self.entries: list[OutboxEntry] = []
        self.settled = False

    def commit(self, entries: list[OutboxEntry]) -> None:
        """The commit has succeeded: publish these."""
        if self.lease_seconds:
            for entry in entries:
                entry.leased_at = self._began
            self.entries = entries
        self.settled = True
        self._relay.accept(self)

    def abort(self) -> None:
        """The commit has failed or its result is unknown: the sweeper finds what is there when the lease ends."""
        self.commit([])


class Relay:
    """Publishes what the outbox stored. One per process and database; run `run()` as a task."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        telemetry: Telemetry,
        settings: RelaySettings = RelaySettings(),  # noqa: B008 - immutable
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._telemetry = telemetry
        self._settings = settings
        self._owner = uuid4()
        self._slots: deque[PublishSlot] = deque()
        self._held: dict[int, OutboxEntry] = {}
        self._confirmed: list[int] = []
        self._news = asyncio.Event()
        self._confirms = asyncio.Event()
        self._stopping = False

    def reserve(self) -> PublishSlot:
        """Take the next place in the publishing order for events that are about to be stored."""
        full = len(self._held) >= self._settings.capacity or self._stopping
        slot = PublishSlot(self, self._owner, 0.0 if full else self._settings.lease_seconds)
        self._slots.append(slot)
        return slot

    def accept(self, slot: PublishSlot) -> None:
        """A slot was filled."""
        for entry in slot.entries:
            self._held[entry.position] = entry
        self._news.set()

    @property
    def waiting(self) -> int:
        """Events in memory that are not yet confirmed and removed."""
        return len(self._held)

    async def run(self) -> None:
        """Until cancelled. Trouble of any kind is told and outlived: committed events must arrive some day."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._publishing())
            tasks.create_task(self._removing())
            tasks.create_task(self._sweeping())

    async def stop(self, grace: float) -> None:
        """Publish what is in memory, for at most `grace` seconds, and free the rest for other replicas."""
        self._stopping = True
        deadline = time.monotonic() + grace
        while self._held and time.monotonic() < deadline:  # noqa: ASYNC110 - two things empty it
            await asyncio.sleep(0.02)
        if self._held:
            with suppress(*_TROUBLE):
                async with self._database.connection() as connection:
                    await connection.execute(
                        "UPDATE outbox SET leased_until = now() WHERE owner = $1 AND position = ANY($2::bigint[])",
                        self._owner,
                        list(self._held),
                    )
        await self._publisher.close()

    # Publishing

    async def _publishing(self) -> None:
        pause = 0.1
        batch: list[OutboxEntry] = []
        while True:
            batch = batch or await self._next_batch()
            try:
                batch = await self._still_ours(batch)
                await self._publish(batch)
            except _TROUBLE as error:
                self._telemetry.status("relay", f"{error}; {self.waiting} events wait")
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.max_pause_seconds)
            else:
                batch, pause = [], 0.1

    async def _next_batch(self) -> list[OutboxEntry]:
        """The entries of the places at the head that are filled, in order; waits for at least one."""
        batch: list[OutboxEntry] = []
        while True:
            while self._slots and self._slots[0].settled and len(batch) < self._settings.window:
                batch.extend(self._slots.popleft().entries)
            if batch:
                return batch
            self._news.clear()
            try:
                async with asyncio.timeout(RELOAD_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                await self._publisher.refresh()

    async def _still_ours(self, batch: list[OutboxEntry]) -> list[OutboxEntry]:
        """Drop entries whose lease may have ended (a long stop of the process) and was taken by another."""
        deadline = time.monotonic() - 0.8 * self._settings.lease_seconds
        if all(entry.leased_at > deadline for entry in batch):
            return batch
        mine = await self._renew([entry.position for entry in batch])
        for entry in batch:
            if entry.position not in mine:
                self._held.pop(entry.position, None)
        return [entry for entry in batch if entry.position in mine]

    async def _publish(self, batch: list[OutboxEntry]) -> None:
        if not batch:
            return
        await self._publisher.open()  # whatever is wrong with the connection, no message is to blame
        try:
            results = await self._publisher.publish([entry.message for entry in batch])
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one message does, the others must pass
            # The broker closed the channel over one message of the batch, or the driver cannot write it: find it.
            if len(batch) > 1:
                for entry in batch:
                    await self._publish([entry])
                return
            await self._keep(batch, str(error))
            self._telemetry.status("relay", str(error))
            self._telemetry.published(batch[0].event, PublishResult.REFUSED)
            return
        kept: dict[PublishResult, list[OutboxEntry]] = {}
        for entry, result in zip(batch, results, strict=True):
            self._telemetry.published(entry.event, result)
            if result is PublishResult.CONFIRMED:
                self._confirmed.append(entry.position)
                self._confirms.set()
            else:
                kept.setdefault(result, []).append(entry)
        for result, entries in kept.items():
            reason = "no queue took it" if result is PublishResult.RETURNED else "a queue refused it"
            await self._keep(entries, reason)

    async def _keep(self, entries: Sequence[OutboxEntry], reason: str) -> None:
        """Leave rows for the sweeper to try again, ever more rarely, and say why."""
        await self._put_off([entry.position for entry in entries], reason)
        for entry in entries:
            self._held.pop(entry.position, None)

    async def _put_off(self, positions: list[int], reason: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, last_error = $2,"
                " leased_until = now() + interval '1 second' * least(60, power(2, least(attempts, 6)))"
                " WHERE position = ANY($1::bigint[])",
                positions,
                text_value(reason),
            )

    # Removing

    async def _removing(self) -> None:
        while True:
            await self._confirms.wait()
            self._confirms.clear()
            positions, self._confirmed = self._confirmed, []
            try:
                async with self._database.connection() as connection:
                    await connection.execute(
                        "DELETE FROM outbox WHERE position = ANY($1::text::bigint[])", array_literal(positions)
                    )
            except _TROUBLE:
                self._confirmed = positions + self._confirmed
                await asyncio.sleep(0.5)
                self._confirms.set()
            else:
                for position in positions:
                    self._held.pop(position, None)

    # Sweeping

    async def _sweeping(self) -> None:
        while True:
            try:
                await self._renew_old_leases()
                room = self._settings.capacity - len(self._held)
                found = await self._sweep(min(room, self._settings.window)) if room > 0 else 0
            except _TROUBLE as error:
                self._telemetry.status("relay", str(error))
                found = 0
            if found < self._settings.window or self._stopping:
                await asyncio.sleep(self._settings.sweep_seconds)

    async def _sweep(self, limit: int) -> int:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "UPDATE outbox SET owner = $1, leased_until = now() + make_interval(secs => $2)"
                " WHERE position IN (SELECT position FROM outbox WHERE leased_until <= now()"
                "  ORDER BY position LIMIT $3 FOR UPDATE SKIP LOCKED)"
                " RETURNING position, exchange, body, expires_ms",
                self._owner,
                self._settings.lease_seconds,
                limit,
            )
        entries = []
        for position, exchange, body, expires_ms in sorted(rows):
            if position in self._held:
                continue
            try:
                event = _codec.decode(body)
            except PermanentError as error:
                self._telemetry.status("relay", f"row {position} of the outbox is no event: {error}")
                await self._put_off([position], str(error))
                continue
            message = message_of(event, body, exchange, expires_ms)
            entries.append(OutboxEntry(event=event, message=message, position=position))
        if entries:
            self.reserve().commit(entries)
        return len(entries)

    async def _renew_old_leases(self) -> None:
        old = time.monotonic() - self._settings.lease_seconds / 3
        positions = [position for position, entry in self._held.items() if entry.leased_at < old]
        if positions:
            await self._renew(positions)

    async def _renew(self, positions: list[int]) -> set[int]:
        """Begin the lease anew; returns the positions that are still ours."""
        began = time.monotonic()
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "UPDATE outbox SET leased_until = now() + make_interval(secs => $3)"
                " WHERE owner = $1 AND position = ANY($2::bigint[]) RETURNING position",
                self._owner,
                positions,
                self._settings.lease_seconds,
            )
        mine = {row[0] for row in rows}
        for position in positions:
            if entry := self._held.get(position):
                # A row that is no longer ours is asked for once more before it is published.
                entry.leased_at = began if position in mine else -math.inf
        return mine


def message_of(event: AnyEvent, body: bytes, exchange: str, expires_ms: int | None) -> Message:
    """The AMQP message of an event: its type is the routing key, its subject the correlation."""
    return Message(
        exchange=exchange,
        routing_key=event.type,
        body=body,
        message_id=uuid_text(event.id),
        correlation_id=uuid_text(event.subject),
        timestamp=event.time.timestamp(),
        priority=event.priority,
        expires_ms=expires_ms,
        traceparent=event.traceparent,
    )
