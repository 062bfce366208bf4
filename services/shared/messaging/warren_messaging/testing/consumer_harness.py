"""One queue and its consumer, without a broker: events in; what was tried, announced and parked out.

    harness = ConsumerHarness(HANDLERS, Points)                      # handlers that run no SQL
    harness = ConsumerHarness(HANDLERS, Points, database=database)   # the same on a real, open Database

The real `Processor`, `Outbox`, inbox and failures are at work. The queue is a list with a clock of its own, so a retry
that the broker would hold back for a minute takes no time, and the same seed always gives the same disorder.
"""

import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec

from warren_messaging.amqp.publisher import Message
from warren_messaging.codec import Codec
from warren_messaging.consumer.delivery import Delivery, Verdict, logical_id_of
from warren_messaging.consumer.processor import Processor
from warren_messaging.errors import MalformedEvent
from warren_messaging.events import AnyEvent, Catalogue, EventData
from warren_messaging.handlers import Handlers
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.relay import OutboxEntry
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.sender import REDRIVE_EXCHANGE
from warren_messaging.testing.database import InMemoryDatabase
from warren_messaging.testing.effect_stubs import Perform, with_recorded_calls
from warren_messaging.testing.events import Deliverable, delivery_of
from warren_messaging.testing.queue import InMemoryQueue, Queued
from warren_messaging.testing.recording_telemetry import RecordingTelemetry
from warren_messaging.testing.relay import InMemoryRelay
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)


class Attempt(msgspec.Struct, frozen=True):
    """One delivery and what became of it."""

    event: AnyEvent | None
    """None: the body could not be read."""
    verdict: Verdict
    number: int
    """Which try of this message it was, from 1."""
    at: float
    """Seconds on the harness's clock."""
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


class ConsumerHarness(Generic[T]):
    """Delivers to a table of handlers, and keeps what came of it in `attempts`, `announced`, `performed`, `parked`.

    `effect_stubs` replaces the `perform` of effects, by the class of the event's data; every call is in `performed`. A
    retry comes after `first_wait` seconds, then twice, three times as long, at most `max_wait`, as with `retry` in a
    topology file.
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
        first_wait: float = 1.0,
        max_wait: float = 60.0,
        batch: int = 100,
        catalogue: Catalogue | None = None,
        tolerant: bool = False,
        dedup_key: Callable[[AnyEvent], UUID] = logical_id_of,
        exchange: str = "order.exchange",
        source_exchange: str = "order.exchange",
    ) -> None:
        self.source_exchange = source_exchange
        """The exchange whose events an InMemoryBroker puts into this queue; `exchange` is where it publishes."""
        self.attempts: list[Attempt] = []
        self.parked: list[ParkedDelivery] = []
        self.performed: list[Any] = []
        """The intents of the effects that were performed, one for each call."""
        self.messages: list[Message] = []
        """What went to the broker, with exchange, priority and expiry."""
        self.events: list[AnyEvent] = []
        """The same as events, complete with numbers, cause and reference."""
        self._database = database or InMemoryDatabase()
        self._witness = RecordingTelemetry()
        self._transaction = transaction
        self._codec = Codec(
            catalogue or {data.TYPE: data for data in handlers if data is not EventData}, tolerant=tolerant
        )
        self._queue = InMemoryQueue(first_wait, max_wait)
        self._batch = batch
        self.outbox = Outbox(
            self._database,
            InMemoryRelay(self._database, self._witness, self._publish),
            source=f"/warren/{service}",
            exchange=exchange,
        )
        """For what no event leads to: an HTTP request, a ticker."""
        self.handlers = with_recorded_calls(handlers, effect_stubs or {}, self.performed)
        self._processor = Processor(
            consumer=service,
            handlers=self.handlers,
            transaction=transaction,
            codec=self._codec,
            database=self._database,
            outbox=self.outbox,
            telemetry=self._witness,
            retry=retry,
            dedup_key=dedup_key,
        )

    # What happens

    async def deliver(
        self, *messages: Deliverable | Delivery, copies: int = 1, seed: int | None = None
    ) -> list[Attempt]:
        """Put messages into the queue and work until it is empty, retries included; returns the attempts made.

        Each message comes `copies` times. With a `seed` they come in a random order and in batches of random size;
        without, in the order given and in batches as large as may be.
        """
        self.enqueue(*messages, copies=copies)
        return await self.run(seed)

    async def redeliver(self, *, seed: int | None = None) -> list[Attempt]:
        """Deliver once more everything that was ever delivered, as after a crash before its acknowledgement."""
        self._queue.put([msgspec.structs.replace(each, returned=True) for each in self._queue.history])
        return await self.run(seed)

    async def replay(self) -> list[Attempt]:
        """Empty the parking lot into the queue, as `warren dlq replay` does."""
        parked, self.parked = self.parked, []
        self._queue.put(
            [Delivery(tag=0, body=each.body, exchange=REDRIVE_EXCHANGE, replays=each.replays + 1) for each in parked]
        )
        return await self.run()

    async def run_job(self, work: Callable[[T], Awaitable[int]]) -> int:
        """One round of a ticker's work, in a transaction of its own; returns how much it found."""
        async with self.outbox.transaction(self._transaction) as transaction:
            return await work(transaction)

    def enqueue(self, *messages: Deliverable | Delivery, copies: int = 1, user: str | None = None) -> None:
        """Put messages into the queue without working on them.

        `user` is the broker user that published them, by default the service that each event names as its source.
        """
        named = {} if user is None else {"user_id": user}
        for message in messages:
            delivery = message if isinstance(message, Delivery) else delivery_of(message, **named)
            self._queue.put([delivery] * copies)

    async def run(self, seed: int | None = None) -> list[Attempt]:
        """Work until the queue is empty; returns the attempts made. Raises as `step`."""
        before = len(self.attempts)
        chance = None if seed is None else random.Random(seed)  # noqa: S311 - disorder, not secrets
        while self._queue:
            await self.step(chance)
        return self.attempts[before:]

    async def step(self, chance: random.Random | None = None) -> None:
        """Work on one batch. Raises NeedsDatabase, and Unavailable when a handler does: then what is not settled
        stays in the queue."""
        batch = {queued.delivery.tag: queued for queued in self._queue.take(self._batch, chance)}

        def settle(delivery: Delivery, verdict: Verdict) -> None:
            self._settle(batch[delivery.tag], verdict)

        await self._processor.process([queued.delivery for queued in batch.values()], settle)
        if isinstance(self._database, InMemoryDatabase) and self._database.refused is not None:
            raise self._database.refused

    # What came of it

    @property
    def announced(self) -> list[EventData]:
        """What the announced events say, in the order of the commits."""
        return [event.data for event in self.events]

    @property
    def clock(self) -> float:
        """Seconds that have passed for the queue, by waiting for retries alone."""
        return self._queue.clock

    @property
    def waiting(self) -> int:
        """Messages in the queue."""
        return len(self._queue)

    @property
    def repeated(self) -> list[AnyEvent]:
        """Events that had been processed before and changed nothing."""
        return self._witness.repeated_events

    # How

    def _settle(self, queued: Queued, verdict: Verdict) -> None:
        if verdict is Verdict.RELEASE:
            self._queue.release(queued)
            return
        self._queue.settled(queued)
        body = queued.delivery.body
        event = self._read(body)
        reason, attempts = None, queued.tries
        if verdict is not Verdict.ACK:
            reason, attempts = self._witness.failure(_keys(event, body))
        self.attempts.append(Attempt(event, verdict, queued.tries, self._queue.clock, reason))
        match verdict:
            case Verdict.RETRY:
                self._queue.retry(queued)
            case Verdict.DEAD_LETTER:
                self.parked.append(ParkedDelivery(event, body, reason or "", attempts, queued.delivery.replays))

    def _publish(self, entry: OutboxEntry) -> None:
        self.messages.append(entry.message)
        # Read from the bytes: what another service will see.
        self.events.append(self._read(entry.message.body) or entry.event)

    def _read(self, body: bytes) -> AnyEvent | None:
        try:
            return self._codec.decode(body)
        except MalformedEvent:
            return None


def _keys(event: AnyEvent | None, body: bytes) -> list[str]:
    """What a failure may be recorded under, see Processor."""
    known = [] if event is None else [str(event.logicalid), str(event.id)]
    return [*known, hashlib.sha256(body).hexdigest()]
