"""From deliveries to verdicts: the part of a consumer that knows nothing of AMQP.

A batch of deliveries shares one transaction: inbox, handlers, state, outbox. When it fails, each delivery gets a
transaction of its own, so only the one that is to blame is retried or parked and its neighbours pass.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from warren_messaging.codec import Codec
from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    MalformedEvent,
    PermanentError,
    Unavailable,
    UndecodableProperties,
)
from warren_messaging.events import AnyEvent
from warren_messaging.handlers import Effect, Handler, Handlers, handler_of
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.postgres import failures, inbox
from warren_messaging.postgres.database import VALUE_REFUSED, Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.sender import forgery
from warren_messaging.telemetry import Telemetry
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)

TRANSACTION_TIMEOUT = 60.0  # seconds
EFFECT_TIMEOUT = 30.0  # seconds
BATCH_TIMEOUT = 240.0  # seconds, after which a batch that goes on one by one begins no further one
# Together far below the broker's consumer timeout of 30 minutes, also where effects pass two batches after another
# and a consumer holds two batches.


class Delivery(msgspec.Struct, frozen=True, eq=False):
    """One message as a queue handed it out."""

    tag: int
    body: bytes
    exchange: str = ""
    """The exchange that its sender published it to."""
    routing_key: str = ""
    user_id: str | None = None
    """The broker user that published it, as the broker has verified; None if the sender did not set it."""
    returned: bool = False
    """It was delivered before, by this queue."""
    replays: int = 0
    """How often it came out of a parking lot."""
    defect: str | None = None
    """Why it is refused unread: properties that decide about it cannot be decoded, or its body is too large."""
    body_hash: str | None = None
    """Of a body that was not kept."""

    @property
    def may_have_failed(self) -> bool:
        """Whether a failure of it may be on record."""
        return self.returned or self.replays > 0


class Verdict(Enum):
    """What to tell the broker about a delivery."""

    ACK = auto()
    """Acknowledge: its effect is committed."""
    RETRY = auto()
    """Reject and requeue: the queue waits, counts, and delivers it again."""
    DEAD_LETTER = auto()
    """Reject: the queue's dead-letter exchange takes it to the parking lot."""
    RELEASE = auto()
    """Return it, uncounted and at once: it was not tried."""


AckCallback = Callable[[Delivery, Verdict], None]


class Task(msgspec.Struct, frozen=True, eq=False):
    """A delivery that could be read."""

    delivery: Delivery
    event: AnyEvent


class Finished(msgspec.Struct, frozen=True):
    """An effect whose call has been made, and whose result is to be stored."""

    task: Task
    intent: Any
    result: Any
    started: float


def logical_id_of(event: AnyEvent) -> UUID:
    """What repetitions are recognized by, as a rule."""
    return event.logicalid


class Processor(Generic[T]):
    """Runs a service's handlers with the library's guarantees.

    `concurrency` bounds the effects under way at one time in this process. `identity` is what repetitions are
    recognized by: the logical id, which the versions of one fact share, unless a consumer wants each version.
    """

    def __init__(
        self,
        *,
        consumer: str,
        handlers: Handlers[T],
        transaction: Callable[[Connection], T],
        codec: Codec,
        database: Database,
        outbox: Outbox,
        telemetry: Telemetry,
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - immutable
        concurrency: int = 16,
        dedup_key: Callable[[AnyEvent], UUID] = logical_id_of,
    ) -> None:
        self._consumer = consumer
        self._handlers = handlers
        self._transaction = transaction
        self._codec = codec
        self._database = database
        self._outbox = outbox
        self._telemetry = telemetry
        self._retry = retry
        self._slots = asyncio.Semaphore(concurrency)
        self._dedup_key = dedup_key
        # Effects that end at the same time are stored in one transaction.
        self._finishing: RequestCoalescer[Finished, Verdict] = RequestCoalescer(self._finish)

    async def process(self, deliveries: Sequence[Delivery], settle: AckCallback) -> None:
        """Process all and call `settle` once for each whose outcome is known.

        Raises Unavailable when a server is away: those not yet settled are to be released, none is to blame.
        """
        plain: list[Task] = []
        effects: list[Task] = []
        for delivery in deliveries:
            event: AnyEvent | None = None
            try:
                if delivery.defect is not None:
                    raise UndecodableProperties(delivery.defect)
                event = self._codec.decode(delivery.body, delivery.routing_key)
                self._check(event, delivery)
            except PermanentError as error:
                settle(delivery, await self._failed(delivery, event, error, refused=True))
                continue
            is_effect = isinstance(handler_of(self._handlers, event), Effect)
            (effects if is_effect else plain).append(Task(delivery, event))
        if plain:
            await self._batch(plain, self._handle, settle)
        if effects:
            await self._run_effects(effects, settle)

    def has_effects(self) -> bool:
        return any(isinstance(handler, Effect) for handler in self._handlers.values())

    # Reading

    def _check(self, event: AnyEvent, delivery: Delivery) -> None:
        if handler_of(self._handlers, event) is None:
            raise MalformedEvent(f"{self._consumer} has no handler for {event.type!r}")
        reason = forgery(
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            user_id=delivery.user_id,
            source=event.source,
            event_type=event.type,
        )
        if reason is not None:
            raise PermanentError(reason)

    # Handlers

    async def _batch(
        self,
        tasks: Sequence[Task],
        run: Callable[[Sequence[Task]], Any],
        settle: AckCallback,
    ) -> None:
        """All in one transaction, or else each in its own, as long as there is time; the others are released."""
        deadline = time.monotonic() + BATCH_TIMEOUT
        try:
            try:
                await run(tasks)
            except (asyncpg.TransactionRollbackError, asyncpg.IntegrityConstraintViolationError):
                # A deadlock, or a key that another transaction has stored at this moment: the fault of no message.
                await run(tasks)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is a verdict on its message
            if len(tasks) == 1:
                settle(tasks[0].delivery, await self._failed(tasks[0].delivery, tasks[0].event, error))
                return
            for number, task in enumerate(tasks):
                if time.monotonic() > deadline:
                    self._release(tasks[number:], settle)
                    return
                await self._batch([task], run, settle)
            return
        for task in tasks:
            settle(task.delivery, Verdict.ACK)

    def _release(self, tasks: Sequence[Task], settle: AckCallback) -> None:
        text = f"{len(tasks)} messages given back untried: those before them took {BATCH_TIMEOUT:.0f} s"
        self._telemetry.status(self._consumer, text)
        for task in tasks:
            settle(task.delivery, Verdict.RELEASE)

    async def _handle(self, tasks: Sequence[Task]) -> None:
        started = time.perf_counter()
        done: list[tuple[AnyEvent, list[str]]] = []
        async with asyncio.timeout(TRANSACTION_TIMEOUT), self._outbox.transaction(self._transaction) as work:
            fresh = await self._fresh(work.connection, tasks, remember=True)
            await work.load([task.event for task in fresh])
            for task in fresh:
                handler: Handler[T] = handler_of(self._handlers, task.event)  # type: ignore[assignment]
                before = len(work.announcements)
                for data in await handler(task.event, work):
                    work.announce(data, cause=task.event)
                done.append((task.event, [each.data.TYPE for each in work.announcements[before:]]))
            if len(fresh) < len(tasks):
                known = {id(task) for task in fresh}
                await work.repeated([task.event for task in tasks if id(task) not in known])
            await self._note_recovered(work.connection, tasks)
        self._report(done, tasks, time.perf_counter() - started)

    async def _fresh(self, connection: Connection, tasks: Sequence[Task], *, remember: bool) -> list[Task]:
        """The first task of each logical event that the inbox has not seen."""
        first: dict[Any, Task] = {}
        for task in tasks:
            first.setdefault(self._dedup_key(task.event), task)
        if remember:
            new = await inbox.remember(connection, self._consumer, first)
        else:
            new = first.keys() - await inbox.known(connection, self._consumer, first)
        return [task for key, task in first.items() if key in new]

    async def _note_recovered(self, connection: Connection, tasks: Sequence[Task]) -> None:
        returned = [task for task in tasks if task.delivery.may_have_failed]
        # A body that nobody could read at first is on record under its hash.
        keys = [key for task in returned for key in (str(self._dedup_key(task.event)), _hash(task.delivery))]
        if keys:
            await failures.succeeded(connection, self._consumer, keys)

    def _report(self, done: list[tuple[AnyEvent, list[str]]], tasks: Sequence[Task], seconds: float) -> None:
        seen = {id(event) for event, _ in done}
        for event, led_to in done:
            self._telemetry.processed(self._consumer, event, led_to, seconds)
        for task in tasks:
            if id(task.event) not in seen:
                self._telemetry.repeated(self._consumer, task.event)

    # Effects

    async def _run_effects(self, tasks: Sequence[Task], settle: AckCallback) -> None:
        intents: dict[int, Any] = {}

        async def prepare(batch: Sequence[Task]) -> None:
            intents.update(await self._prepare(batch))

        ready: list[Task] = []
        prepared = {task.delivery.tag: task for task in tasks}

        def sort_out(delivery: Delivery, verdict: Verdict) -> None:
            if verdict is Verdict.ACK and delivery.tag in intents:
                ready.append(prepared[delivery.tag])
            else:
                settle(delivery, verdict)

        await self._batch(tasks, prepare, sort_out)
        async with asyncio.TaskGroup() as group:
            for task in ready:
                group.create_task(self._effect(task, intents[task.delivery.tag], settle))

    async def _prepare(self, tasks: Sequence[Task]) -> dict[int, Any]:
        """The intents by delivery tag; a delivery that has nothing to do has none and is remembered."""
        started = time.perf_counter()
        intents: dict[int, Any] = {}
        idle: list[Task] = []
        async with asyncio.timeout(TRANSACTION_TIMEOUT), self._outbox.transaction(self._transaction) as work:
            fresh = await self._fresh(work.connection, tasks, remember=False)
            await work.load([task.event for task in fresh])
            for task in fresh:
                effect: Effect[T, Any, Any] = handler_of(self._handlers, task.event)  # type: ignore[assignment]
                intent = await effect.prepare(task.event, work)
                if intent is None:
                    idle.append(task)
                else:
                    intents[task.delivery.tag] = intent
            await inbox.remember(work.connection, self._consumer, {self._dedup_key(task.event) for task in idle})
            await self._note_recovered(work.connection, [task for task in tasks if task.delivery.tag not in intents])
        for task in tasks:
            if task not in fresh:
                self._telemetry.repeated(self._consumer, task.event)
        for task in idle:
            self._telemetry.processed(self._consumer, task.event, [], time.perf_counter() - started)
        return intents

    async def _effect(self, task: Task, intent: Any, settle: AckCallback) -> None:
        effect: Effect[T, Any, Any] = handler_of(self._handlers, task.event)  # type: ignore[assignment]
        started = time.perf_counter()
        try:
            async with self._slots, asyncio.timeout(EFFECT_TIMEOUT):
                result = await effect.perform(intent)
        except Exception as error:  # noqa: BLE001 - whatever a call raises is a verdict on its message
            settle(task.delivery, await self._failed(task.delivery, task.event, error))
            return
        settle(task.delivery, await self._finishing.submit(id(task), Finished(task, intent, result, started)))

    async def _finish(self, finished: Mapping[int, Finished]) -> Mapping[int, Verdict]:
        """Store the results of effects, by id of their task."""
        verdicts: dict[int, Verdict] = {}
        keys = {each.task.delivery: key for key, each in finished.items()}

        async def store(tasks: Sequence[Task]) -> None:
            await self._store_results([finished[id(task)] for task in tasks])

        def note(delivery: Delivery, verdict: Verdict) -> None:
            verdicts[keys[delivery]] = verdict

        await self._batch([each.task for each in finished.values()], store, note)
        return verdicts

    async def _store_results(self, finished: Sequence[Finished]) -> None:
        by_task = {each.task: each for each in finished}
        done: list[tuple[AnyEvent, list[str]]] = []
        async with asyncio.timeout(TRANSACTION_TIMEOUT), self._outbox.transaction(self._transaction) as work:
            fresh = await self._fresh(work.connection, list(by_task), remember=True)
            await work.load([task.event for task in fresh])
            for task in fresh:
                effect: Effect[T, Any, Any] = handler_of(self._handlers, task.event)  # type: ignore[assignment]
                each, before = by_task[task], len(work.announcements)
                for data in await effect.complete(task.event, each.intent, each.result, work):
                    work.announce(data, cause=task.event)
                done.append((task.event, [said.data.TYPE for said in work.announcements[before:]]))
            await self._note_recovered(work.connection, list(by_task))
        now = time.perf_counter()
        self._report(done, list(by_task), now - min(each.started for each in finished))

    # Failures

    async def _failed(
        self, delivery: Delivery, event: AnyEvent | None, error: Exception, *, refused: bool = False
    ) -> Verdict:
        """Count the failure where a person finds it, and decide between another try and the parking lot.

        A refused delivery is counted under its hash: its logical id may be another sender's, whose event must keep its
        own tries.
        """
        permanent = isinstance(error, (PermanentError, *VALUE_REFUSED))
        key = str(self._dedup_key(event)) if event and not refused else _hash(delivery)
        reason = _reason(error)
        try:
            async with self._database.connection() as connection:
                attempts, parked = await failures.record(
                    connection,
                    self._consumer,
                    key,
                    reason,
                    event_type=event.type if event else None,
                    subject=event.subject if event else None,
                    limit=None if permanent else self._retry.attempts,
                    replays=delivery.replays,
                )
        except (TimeoutError, ConfigurationError) as away:
            raise DatabaseUnavailable(f"cannot record a failure: {away}") from away
        self._telemetry.failed(self._consumer, key, reason, attempts, parked=parked)
        return Verdict.DEAD_LETTER if parked else Verdict.RETRY


def _hash(delivery: Delivery) -> str:
    return delivery.body_hash or hashlib.sha256(delivery.body).hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "took too long"
    if isinstance(error, PermanentError | asyncpg.PostgresError):
        return str(error)
    return f"{type(error).__name__}: {error}"
