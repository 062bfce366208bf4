"""Publishes committed events from memory, and the rows that a crashed process has left.

A stored row has an owner and a lease by the database's clock. The owner publishes from memory, renews the lease while
that takes long, and deletes the row after the broker's confirm. Every replica takes over rows whose lease has expired.
Without a fault each event is published exactly once; a fault may repeat some, and none is lost.
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

from warren_messaging.amqp.connection import RELOAD_SECONDS, AmqpConnection
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.amqp.publisher import Message, Publisher
from warren_messaging.amqp.spans import PublishSpans
from warren_messaging.codec import Codec, uuid_text
from warren_messaging.errors import ConfigurationError, PermanentError, Unavailable
from warren_messaging.events import AnyEvent
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.values import array_literal, text_value
from warren_messaging.telemetry import Telemetry

_codec = Codec({}, tolerant=True)  # the data is published as it is stored

_RETRIABLE = (Unavailable, ConfigurationError, TimeoutError, asyncpg.PostgresError)
"""Errors of a server, of the settings and secrets for it (a secret may be missing while it is rotated), or of locks
that other sessions hold."""


class RelaySettings(msgspec.Struct, frozen=True):
    """How a relay publishes, and takes over what a crashed process has left."""

    lease_seconds: float = 10.0
    """Time after which the events of a crashed process are taken over."""
    takeover_seconds: float = 1.0
    """Interval between two searches for expired leases."""
    window: int = 500
    """Messages that share one wait for confirms."""
    capacity: int = 10_000
    """Events held in memory; more wait in the table."""
    max_pause_seconds: float = 5.0
    """Longest pause between two attempts to reach the broker."""


class OutboxEntry(msgspec.Struct):
    """A stored event that this process publishes."""

    event: AnyEvent
    message: Message
    position: int = 0
    leased_at: float = 0.0
    """time.monotonic() when the lease began or was renewed."""


class PublishSlot:
    """A reserved position in the publishing order, for the events of one transaction.

    The rows are stored with a lease of `lease_seconds`: 0 when memory is full, so that they are taken over later.
    """

    def __init__(self, relay: "Relay", owner: UUID, lease_seconds: float) -> None:
        self._relay = relay
        self._began = time.monotonic()
        self.owner = owner
        self.lease_seconds = lease_seconds
        self.entries: list[OutboxEntry] = []
        self.closed = False

    def commit(self, entries: list[OutboxEntry]) -> None:
        """Publish the entries: the transaction has committed."""
        if self.lease_seconds:
            for entry in entries:
                entry.leased_at = self._began
            self.entries = entries
        self._close()

    def abort(self) -> None:
        """Publish nothing: the commit failed or its result is unknown. Stored rows are taken over later."""
        self._close()

    def _close(self) -> None:
        self.closed = True
        self._relay.accept(self)


class Relay:
    """Publishes the rows of the outbox. One per process and database; run `run()` as a task."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        telemetry: Telemetry,
        settings: RelaySettings = RelaySettings(),  # noqa: B008 - immutable
    ) -> None:
        self._database = database
        self._publisher = publisher
        self.telemetry = telemetry
        self._settings = settings
        self._owner = uuid4()
        self._slots: deque[PublishSlot] = deque()
        self._entries: dict[int, OutboxEntry] = {}
        self._confirmed: list[int] = []
        self._committed = asyncio.Event()
        self._confirm_arrived = asyncio.Event()
        self._stopping = False
        self._connection: AmqpConnection | None = None

    def reserve(self) -> PublishSlot:
        """Reserve the next position in the publishing order for events that are about to be stored."""
        full = len(self._entries) >= self._settings.capacity or self._stopping
        slot = PublishSlot(self, self._owner, 0.0 if full else self._settings.lease_seconds)
        self._slots.append(slot)
        return slot

    def accept(self, slot: PublishSlot) -> None:
        """Take the entries of a closed slot."""
        for entry in slot.entries:
            self._entries[entry.position] = entry
        self._committed.set()

    @property
    def waiting(self) -> int:
        """Number of events in memory that are not confirmed and deleted yet."""
        return len(self._entries)

    async def run(self) -> None:
        """Run until cancelled. Errors are reported and retried: a committed event must be published eventually.

        May be called again after `stop`, also in another event loop.
        """
        self._committed, self._confirm_arrived = asyncio.Event(), asyncio.Event()
        if self._stopping:  # the leases of all events in memory were ended: they wait in the table
            self._stopping = False
            self._slots = deque(slot for slot in self._slots if not slot.closed)
            self._entries.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publish_committed())
                tasks.create_task(self._delete_confirmed())
                tasks.create_task(self._maintain_leases())
        finally:
            await self._publisher.close()

    async def stop(self, grace: float) -> None:
        """Publish the events in memory, for at most `grace` seconds, and end the leases of the rest."""
        self._stopping = True
        deadline = time.monotonic() + grace
        while self._entries and time.monotonic() < deadline:  # noqa: ASYNC110 - two things empty it
            await asyncio.sleep(0.02)
        if self._entries:
            with suppress(*_RETRIABLE):
                async with self._database.connection() as connection:
                    await connection.execute(
                        "UPDATE outbox SET leased_until = now() WHERE owner = $1 AND position = ANY($2::bigint[])",
                        self._owner,
                        list(self._entries),
                    )
        await self._publisher.close()

    # Publishing

    async def _publish_committed(self) -> None:
        pause = 0.1
        batch: list[OutboxEntry] = []
        while True:
            batch = batch or await self._next_batch()
            try:
                batch = await self._without_lost_leases(batch)
                await self._publish(batch)
            except _RETRIABLE as error:
                self.telemetry.status("relay", f"{error}; {self.waiting} events wait")
                await asyncio.sleep(pause)
                pause = min(pause * 2, self._settings.max_pause_seconds)
            else:
                batch, pause = [], 0.1

    async def _next_batch(self) -> list[OutboxEntry]:
        """Return the entries of the closed slots at the head, in order. Waits for at least one."""
        batch: list[OutboxEntry] = []
        while True:
            while self._slots and self._slots[0].closed and len(batch) < self._settings.window:
                batch.extend(self._slots.popleft().entries)
            if batch:
                return batch
            self._committed.clear()
            try:
                async with asyncio.timeout(RELOAD_SECONDS):
                    await self._committed.wait()
            except TimeoutError:
                await self._publisher.refresh()

    async def _without_lost_leases(self, batch: list[OutboxEntry]) -> list[OutboxEntry]:
        """Drop entries that another process has taken over, after a pause of this process longer than the lease."""
        deadline = time.monotonic() - 0.8 * self._settings.lease_seconds
        if all(entry.leased_at > deadline for entry in batch):
            return batch
        owned = await self._renew([entry.position for entry in batch])
        for entry in batch:
            if entry.position not in owned:
                self._entries.pop(entry.position, None)
        return [entry for entry in batch if entry.position in owned]

    async def _publish(self, batch: list[OutboxEntry]) -> None:
        if not batch:
            return
        connection = await self._publisher.open()  # an error of the connection is not an error of a message
        if connection is not self._connection:
            self._connection = connection
            self.telemetry.connected("relay", connection.certificate.expires_at)
        began = time.perf_counter()
        try:
            with PublishSpans() as spans:
                results = await self._publisher.publish([_traced(entry.message, spans) for entry in batch])
                spans.end(results)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one message must not stop the others
            # The broker closed the channel because of one message, or the driver cannot encode it: find that message.
            if len(batch) > 1:
                for entry in batch:
                    await self._publish([entry])
                return
            await self._leave(batch, str(error))
            self.telemetry.status("relay", str(error))
            self._report(batch[0], PublishResult.REFUSED, began)
            return
        kept: dict[PublishResult, list[OutboxEntry]] = {}
        for entry, result in zip(batch, results, strict=True):
            self._report(entry, result, began)
            if result is PublishResult.CONFIRMED:
                self._confirmed.append(entry.position)
                self._confirm_arrived.set()
            else:
                kept.setdefault(result, []).append(entry)
        for result, entries in kept.items():
            reason = "no queue took it" if result is PublishResult.RETURNED else "a queue refused it"
            await self._leave(entries, reason)

    def _report(self, entry: OutboxEntry, result: PublishResult, began: float) -> None:
        self.telemetry.published(entry.event, entry.message.exchange, result, time.perf_counter() - began)

    async def _leave(self, entries: Sequence[OutboxEntry], reason: str) -> None:
        """Leave rows in the table, to be taken over at growing intervals, and record the reason."""
        await self._postpone([entry.position for entry in entries], reason)
        for entry in entries:
            self._entries.pop(entry.position, None)

    async def _postpone(self, positions: list[int], reason: str) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, last_error = $2,"
                " leased_until = now() + interval '1 second' * least(60, power(2, least(attempts, 6)))"
                " WHERE position = ANY($1::bigint[])",
                positions,
                text_value(reason),
            )

    # Deleting

    async def _delete_confirmed(self) -> None:
        while True:
            await self._confirm_arrived.wait()
            self._confirm_arrived.clear()
            positions, self._confirmed = self._confirmed, []
            try:
                async with self._database.connection() as connection:
                    await connection.execute(
                        "DELETE FROM outbox WHERE position = ANY($1::text::bigint[])", array_literal(positions)
                    )
            except _RETRIABLE:
                self._confirmed = positions + self._confirmed
                await asyncio.sleep(0.5)
                self._confirm_arrived.set()
            else:
                for position in positions:
                    self._entries.pop(position, None)

    # Leases

    async def _maintain_leases(self) -> None:
        while True:
            try:
                await self._renew_old_leases()
                room = self._settings.capacity - len(self._entries)
                found = await self._take_over(min(room, self._settings.window)) if room > 0 else 0
            except _RETRIABLE as error:
                self.telemetry.status("relay", str(error))
                found = 0
            if found < self._settings.window or self._stopping:
                await asyncio.sleep(self._settings.takeover_seconds)

    async def _take_over(self, limit: int) -> int:
        """Publish rows whose lease has expired, at most `limit`. Returns their number."""
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
            if position in self._entries:
                continue
            try:
                event = _codec.decode(body)
            except PermanentError as error:
                self.telemetry.status("relay", f"row {position} of the outbox is not an event: {error}")
                await self._postpone([position], str(error))
                continue
            message = message_of(event, body, exchange, expires_ms)
            entries.append(OutboxEntry(event=event, message=message, position=position))
        if entries:
            self.reserve().commit(entries)
        return len(entries)

    async def _renew_old_leases(self) -> None:
        old = time.monotonic() - self._settings.lease_seconds / 3
        positions = [position for position, entry in self._entries.items() if entry.leased_at < old]
        if positions:
            await self._renew(positions)

    async def _renew(self, positions: list[int]) -> set[int]:
        """Renew leases. Returns the positions that this process still owns."""
        began = time.monotonic()
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "UPDATE outbox SET leased_until = now() + make_interval(secs => $3)"
                " WHERE owner = $1 AND position = ANY($2::bigint[]) RETURNING position",
                self._owner,
                positions,
                self._settings.lease_seconds,
            )
        owned = {row[0] for row in rows}
        for position in positions:
            if entry := self._entries.get(position):
                # The lease of a row that another process owns is checked once more before it is published.
                entry.leased_at = began if position in owned else -math.inf
        return owned


def _traced(message: Message, spans: PublishSpans) -> Message:
    """Return the message as it is published: its header has the context of the publish, its body that of the event."""
    parent = message.traceparent
    header = spans.start(message.exchange, message.routing_key, parent, message.message_id, message.correlation_id)
    return message if header is parent else msgspec.structs.replace(message, traceparent=header)


def message_of(event: AnyEvent, body: bytes, exchange: str, expires_ms: int | None) -> Message:
    """Return the AMQP message of an event: the type is the routing key, the subject the correlation id."""
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
