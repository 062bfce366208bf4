"""One queue and its consumer without a broker: events go in; attempts, announced events and parked messages come out.

    harness = ConsumerHarness(HANDLERS, Points)                      # handlers that run no SQL
    harness = ConsumerHarness(HANDLERS, Points, database=database)   # the same on a real, open Database

The real `Processor`, `Outbox`, inbox and failures run. The queue has its own clock, so the delay before a retry takes
no time, and a seed makes any disorder repeatable.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from warren_messaging.amqp.publisher import Message
from warren_messaging.codec import Codec
from warren_messaging.consumer.delivery import Verdict, logical_id_of
from warren_messaging.consumer.processor import Processor
from warren_messaging.delivery import Delivery
from warren_messaging.errors import DownstreamUnavailable, MalformedEvent
from warren_messaging.events import AnyEvent, Catalogue, EventData
from warren_messaging.handlers import Handlers
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.relay import OutboxEntry
from warren_messaging.outbox.schedule import move_due
from warren_messaging.postgres import scheduled
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.sender import REDRIVE_EXCHANGE
from warren_messaging.testing.database import InMemoryDatabase
from warren_messaging.testing.effect_stubs import Perform, with_recorded_calls
from warren_messaging.testing.events import Deliverable, delivery_of, with_typed_data
from warren_messaging.testing.queue import InMemoryQueue, Queued
from warren_messaging.testing.recording_telemetry import RecordingTelemetry
from warren_messaging.testing.relay import InMemoryRelay
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)

MAX_OPEN_SECONDS = 86400.0

_tolerant = Codec({}, tolerant=True)


class Attempt(msgspec.Struct, frozen=True):
    """One delivery and its verdict."""

    event: AnyEvent | None
    """None: the body could not be read."""
    verdict: Verdict
    number: int
    """Number of the attempt at this message, from 1."""
    at: float
    """Time of the harness in seconds."""
    reason: str | None
    """Why it failed."""


class ParkedDelivery(msgspec.Struct, frozen=True):
    """A message in the parking lot."""

    event: AnyEvent | None
    body: bytes
    reason: str
    attempts: int
    replays: int = 0
    """How often it was replayed before."""


class ScheduledMessage(msgspec.Struct, frozen=True):
    """An event that is published later."""

    event: AnyEvent
    """Its number and time are set when it is published."""
    due_at: datetime
    exchange: str


class ConsumerHarness(Generic[T]):
    """Delivers to a table of handlers and records `attempts`, `announced`, `performed` and `parked`.

    Circuit breakers of effects follow the harness's clock, and `run` waits while one is open. There are no rate limits.

    `effect_stubs` replaces the `perform` of effects, by the class of the event's data; every call is in `performed`. A
    retry waits as with `retry` in a topology file: the n-th n times `retry_min_seconds`, at most `retry_max_seconds`.
    """

    def __init__(
        self,
        handlers: Handlers[T],
        transaction: Callable[[Connection], T] = Transaction,  # type: ignore[assignment]
        *,
        service: str = "harness",
        database: Database | None = None,
        effect_stubs: Mapping[type[EventData], Perform] | None = None,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
        retry_min_seconds: float = 1.0,
        retry_max_seconds: float = 60.0,
        batch: int = 100,
        catalogue: Catalogue | None = None,
        tolerant: bool = False,
        dedup_key: Callable[[AnyEvent], UUID] = logical_id_of,
        exchange: str = "order.exchange",
        source_exchange: str = "order.exchange",
    ) -> None:
        self.source_exchange = source_exchange
        """The exchange whose events an InMemoryBroker puts into this queue; the handlers publish to `exchange`."""
        self.attempts: list[Attempt] = []
        """Every attempt at a delivery, in their order."""
        self.parked: list[ParkedDelivery] = []
        """What is in the parking lot."""
        self.performed: list[Any] = []
        """The intent of each call of an effect."""
        self.messages: list[Message] = []
        """The published messages, with exchange, priority and expiry."""
        self.events: list[AnyEvent] = []
        """The published events, with numbers, cause and reference."""
        self._database = database or InMemoryDatabase()
        self._telemetry = RecordingTelemetry()
        self._transaction = transaction
        self._codec = Codec(
            catalogue or {data.TYPE: data for data in handlers if data is not EventData}, tolerant=tolerant
        )
        self._queue = InMemoryQueue(retry_min_seconds, retry_max_seconds)
        self._batch = batch
        self.outbox = Outbox(
            self._database,
            InMemoryRelay(self._database, self._telemetry, self._publish),
            source=f"/warren/{service}",
            exchange=exchange,
        )
        """Starts transactions that no event causes, such as those of an HTTP request or a periodic job."""
        self.handlers = with_recorded_calls(handlers, effect_stubs or {}, self.performed, lambda: self.clock)
        self._processor = Processor(
            consumer=service,
            handlers=self.handlers,
            transaction=transaction,
            codec=self._codec,
            database=self._database,
            outbox=self.outbox,
            telemetry=self._telemetry,
            retry=retry,
            dedup_key=dedup_key,
        )

    # Input

    async def deliver(
        self, *messages: Deliverable | Delivery, copies: int = 1, seed: int | None = None
    ) -> list[Attempt]:
        """Put messages into the queue and process it until it is empty, including retries. Returns the attempts.

        Each message is delivered `copies` times. With a `seed` the order and the sizes of batches are random; without,
        messages come in the given order and in the largest batches.
        """
        self.enqueue(*messages, copies=copies)
        return await self.run(seed)

    async def redeliver(self, *, seed: int | None = None) -> list[Attempt]:
        """Deliver all messages again, as after a crash before their acknowledgement."""
        self._queue.put([msgspec.structs.replace(each, returned=True) for each in self._queue.history])
        return await self.run(seed)

    async def replay(self) -> list[Attempt]:
        """Return all parked messages to the queue, as a replay does."""
        parked, self.parked = self.parked, []
        self._queue.put(
            [Delivery(tag=0, body=each.body, exchange=REDRIVE_EXCHANGE, replays=each.replays + 1) for each in parked]
        )
        return await self.run()

    async def advance(self, seconds: float) -> list[Attempt]:
        """Advance the clock, publish the scheduled messages that are due then, and process the queue."""
        self._queue.clock += seconds
        return await self.run()

    async def publish_due(self) -> int:
        """Publish the scheduled messages that are due by the harness's clock. Returns their number."""
        count = 0
        while True:
            async with self.outbox.transaction(Transaction) as uow:
                moved = await move_due(uow, self._telemetry, ahead=self._queue.clock)
            if not moved:
                return count
            count += moved

    async def run_job(self, job: Callable[[T], Awaitable[int]]) -> int:
        """Run one round of a periodic job in a transaction. Returns its result."""
        async with self.outbox.transaction(self._transaction) as uow:
            return await job(uow)

    def enqueue(self, *messages: Deliverable | Delivery, copies: int = 1, user: str | None = None) -> None:
        """Put messages into the queue without processing them.

        `user` is the broker user that published them, by default the service that each event names as its source.
        """
        named = {} if user is None else {"user_id": user}
        for message in messages:
            delivery = message if isinstance(message, Delivery) else delivery_of(message, **named)
            self._queue.put([delivery] * copies)

    async def run(self, seed: int | None = None) -> list[Attempt]:
        """Process the queue until it is empty, and publish scheduled messages that are due. Returns the attempts.

        Raises as `step`, except that it waits up to a day (of the harness's clock) for circuit breakers to close.
        """
        limit = self.clock + MAX_OPEN_SECONDS
        before = len(self.attempts)
        rng = None if seed is None else random.Random(seed)  # noqa: S311 - disorder, not secrets
        while self._queue:
            try:
                await self.step(rng)
            except DownstreamUnavailable as error:
                if self.clock > limit:
                    raise
                self._queue.clock += error.seconds
        await self.publish_due()
        return self.attempts[before:]

    async def step(self, rng: random.Random | None = None) -> None:
        """Process one batch. Raises NeedsDatabase, and Unavailable if a handler does or a circuit breaker is open:
        deliveries without a verdict then stay in the queue."""
        batch = {queued.delivery.tag: queued for queued in self._queue.take(self._batch, rng)}

        def settle(delivery: Delivery, verdict: Verdict) -> None:
            self._settle(batch[delivery.tag], verdict)

        await self._processor.process([queued.delivery for queued in batch.values()], settle)
        if isinstance(self._database, InMemoryDatabase) and self._database.refused is not None:
            raise self._database.refused

    # Results

    async def scheduled(self) -> list[ScheduledMessage]:
        """Return the scheduled messages that are not published yet, in the order of their times."""
        async with self._database.connection() as connection:
            rows = await scheduled.find(connection)
        return [
            ScheduledMessage(with_typed_data(_tolerant.decode(body)), due_at, exchange)
            for _, due_at, exchange, body in rows
        ]

    @property
    def announced(self) -> list[EventData]:
        """The data of the announced events, in the order of the commits."""
        return [event.data for event in self.events]

    @property
    def clock(self) -> float:
        """Seconds since the start; delays of retries and `advance` advance it."""
        return self._queue.clock

    @property
    def waiting(self) -> int:
        """Number of messages in the queue."""
        return len(self._queue)

    @property
    def repeated(self) -> list[AnyEvent]:
        """Events that were repetitions and changed nothing."""
        return self._telemetry.repeated_events

    # Implementation

    def _settle(self, queued: Queued, verdict: Verdict) -> None:
        if verdict is Verdict.RELEASE:
            self._queue.release(queued)
            return
        queued.attempts += 1
        body = queued.delivery.body
        event = self._read(body)
        reason, attempts = None, queued.attempts
        if verdict is not Verdict.ACK:
            reason, attempts = self._telemetry.last_failure(_keys(event, queued.delivery))
        self.attempts.append(Attempt(event, verdict, queued.attempts, self._queue.clock, reason))
        if verdict is Verdict.RETRY:
            self._queue.retry(queued)
            return
        self._queue.remove(queued)
        if verdict is Verdict.DEAD_LETTER:
            self.parked.append(ParkedDelivery(event, body, reason or "", attempts, queued.delivery.replays))

    def _publish(self, entry: OutboxEntry) -> None:
        self.messages.append(entry.message)
        # Decoded from the bytes, as another service sees it.
        self.events.append(self._read(entry.message.body) or with_typed_data(entry.event))

    def _read(self, body: bytes) -> AnyEvent | None:
        try:
            return self._codec.decode(body)
        except MalformedEvent:
            return None


def _keys(event: AnyEvent | None, delivery: Delivery) -> list[str]:
    """Return the keys under which a failure may be recorded."""
    known = [] if event is None else [str(event.logicalid), str(event.id)]
    return [*known, delivery.content_key]
