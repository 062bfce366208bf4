"""One transaction for a batch of deliveries, or one for each delivery when the batch fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar
from uuid import UUID

import asyncpg

from warren_messaging import tracing
from warren_messaging.cancellation import inner_cancellation_as_error
from warren_messaging.consumer.delivery import DecodedDelivery, Verdict
from warren_messaging.delivery import Delivery
from warren_messaging.errors import (
    ConfigurationError,
    DatabaseUnavailable,
    PermanentError,
    TransientError,
    Unavailable,
    reason_of,
)
from warren_messaging.events import AnyEvent, EventData
from warren_messaging.failure import DeliveryFailure, FailureReason
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.postgres import failures, inbox
from warren_messaging.postgres.database import VALUE_REFUSED, Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.telemetry import Telemetry
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)
D = TypeVar("D", bound=DecodedDelivery)

TRANSACTION_TIMEOUT = 60.0  # seconds
BATCH_TIMEOUT = 240.0  # seconds, after which a batch that is processed one by one starts no further delivery
# An effect passes two batches in sequence, and a consumer holds two batches: the sum of all is far below the broker's
# consumer timeout of 30 minutes.


class BatchRunner(Generic[T]):
    """Runs steps of one consumer on batches of deliveries, and records the failures."""

    def __init__(
        self,
        consumer: str,
        transaction: Callable[[Connection], T],
        database: Database,
        outbox: Outbox,
        telemetry: Telemetry,
        retry: RetryPolicy,
    ) -> None:
        self._consumer = consumer
        self._transaction = transaction
        self._database = database
        self._outbox = outbox
        self._telemetry = telemetry
        self._retry = retry

    async def run(
        self,
        batch: Sequence[D],
        step: Callable[[Sequence[D]], Awaitable[None]],
        on_verdict: Callable[[D, Verdict], None],
    ) -> None:
        """Run `step` on the whole batch, or on each delivery alone if that fails, and report each verdict once.

        Raises Unavailable if a server is unavailable. The caller then releases the deliveries that have no verdict.
        """
        started, deadline = time.perf_counter(), time.monotonic() + BATCH_TIMEOUT
        try:
            with inner_cancellation_as_error():
                try:
                    await step(batch)
                except (asyncpg.TransactionRollbackError, asyncpg.IntegrityConstraintViolationError):
                    # A deadlock, or a key that another transaction stored at this moment: not an error of a message.
                    await step(batch)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - an error of a handler decides about its message only
            if len(batch) == 1:
                on_verdict(batch[0], await self.record_failure(batch[0], error, started))
                return
            for index, each in enumerate(batch):
                if time.monotonic() > deadline:
                    self._release(batch[index:], on_verdict)
                    return
                await self.run([each], step, on_verdict)
            return
        for each in batch:
            on_verdict(each, Verdict.ACK)

    def _release(self, batch: Sequence[D], on_verdict: Callable[[D, Verdict], None]) -> None:
        text = f"{len(batch)} messages released untried: the rest of the batch took {BATCH_TIMEOUT:.0f} s"
        self._telemetry.status(self._consumer, text)
        for each in batch:
            on_verdict(each, Verdict.RELEASE)

    # Within a step

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[T]:
        """A unit of work in a transaction of limited duration; see Outbox.transaction."""
        async with asyncio.timeout(TRANSACTION_TIMEOUT), self._outbox.transaction(self._transaction) as uow:
            yield uow

    async def store_new(self, uow: T, batch: Sequence[D]) -> list[D]:
        """Store the dedup keys in the inbox. Returns the first delivery of each key that was not there."""
        first = _first_of_each_key(batch)
        new = await inbox.insert_keys(uow.connection, self._consumer, first)
        return [each for key, each in first.items() if key in new]

    async def find_new(self, uow: T, batch: Sequence[D]) -> list[D]:
        """Return the first delivery of each key that is not in the inbox, and store nothing."""
        first = _first_of_each_key(batch)
        known = await inbox.find_keys(uow.connection, self._consumer, first)
        return [each for key, each in first.items() if key not in known]

    async def announce(self, uow: T, each: DecodedDelivery, handling: Awaitable[Iterable[EventData]]) -> list[str]:
        """Await a handler and announce the data that it returns. Returns the types of all events that it announced."""
        before = len(uow.announcements)
        with tracing.as_current(each.span):
            for data in await handling:
                uow.announce(data, cause=each.event)
        return [announcement.type for announcement in uow.announcements[before:]]

    async def mark_succeeded(self, uow: T, batch: Iterable[DecodedDelivery]) -> None:
        """Close the failure records of deliveries that failed before."""
        retried = [each for each in batch if each.delivery.may_have_failed]
        # A body that could not be decoded at an earlier attempt has its failure record under its hash.
        keys = [key for each in retried for key in (str(each.dedup_key), each.delivery.content_key)]
        if keys:
            await failures.succeeded(uow.connection, self._consumer, keys)

    # After a step

    def report(self, fresh: Sequence[D], announced: Sequence[list[str]], batch: Sequence[D], seconds: float) -> None:
        """Report to telemetry the processed deliveries, with the event types they announced, and the repeated ones."""
        for each, types in zip(fresh, announced, strict=True):
            self._telemetry.processed(self._consumer, each.delivery, each.event, types, seconds)
        if len(fresh) < len(batch):
            for each in without(batch, fresh):
                self.report_repeated(each)

    def report_repeated(self, each: DecodedDelivery) -> None:
        if each.span is not None:
            each.span.set_attribute("warren.outcome", "repeated")
        self._telemetry.repeated(self._consumer, each.delivery, each.event)

    async def record_failure(self, each: DecodedDelivery, error: Exception, started: float) -> Verdict:
        """Record a failure and decide between a retry and the parking lot. `started` is the time.perf_counter() at the
        beginning of the attempt."""
        reason = _failure_reason(error)
        verdict = await self._record(each.delivery, error, reason, each.event, str(each.dedup_key), started)
        tracing.fail(each.span, error)
        return verdict

    async def record_refusal(
        self,
        delivery: Delivery,
        error: PermanentError,
        reason: FailureReason,
        event: AnyEvent | None,
        started: float,
    ) -> Verdict:
        """Record a delivery that was not processed.

        Its failure is counted under the hash of its body: its dedup key may belong to another sender's event, which
        must keep its own attempts.
        """
        return await self._record(delivery, error, reason, event, delivery.content_key, started)

    async def _record(
        self,
        delivery: Delivery,
        error: Exception,
        reason: FailureReason,
        event: AnyEvent | None,
        key: str,
        started: float,
    ) -> Verdict:
        permanent = reason.is_permanent
        text = _failure_text(error)
        try:
            async with self._database.connection() as connection:
                attempts, parked = await failures.record(
                    connection,
                    self._consumer,
                    key,
                    text,
                    event_type=event.type if event else None,
                    subject=event.subject if event else None,
                    limit=None if permanent else self._retry.attempts,
                    replays=delivery.replays,
                )
        except (TimeoutError, ConfigurationError) as cause:
            raise DatabaseUnavailable(f"cannot record a failure: {cause}") from cause
        failure = DeliveryFailure(
            reason=FailureReason.EXHAUSTED if parked and not permanent else reason,
            text=text,
            key=key,
            attempts=attempts,
            parked=parked,
            seconds=time.perf_counter() - started,
        )
        self._telemetry.failed(self._consumer, delivery, event, failure)
        return Verdict.DEAD_LETTER if parked else Verdict.RETRY


def without(batch: Sequence[D], some: Iterable[D]) -> list[D]:
    """Return the deliveries of a batch that are not among `some`."""
    excluded = set(some)
    return [each for each in batch if each not in excluded]


def _first_of_each_key(batch: Sequence[D]) -> dict[UUID, D]:
    first: dict[UUID, D] = {}
    for each in batch:
        first.setdefault(each.dedup_key, each)
    return first


def _failure_reason(error: Exception) -> FailureReason:
    match error:
        case PermanentError():
            return FailureReason.PERMANENT
        case TransientError():
            return FailureReason.TRANSIENT
        case TimeoutError() | asyncpg.LockNotAvailableError() | asyncpg.QueryCanceledError():
            return FailureReason.TIMEOUT
        case asyncpg.PostgresError():
            return FailureReason.VALUE if isinstance(error, VALUE_REFUSED) else FailureReason.DATABASE
        case _:
            return FailureReason.ERROR


def _failure_text(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "took too long"
    if isinstance(error, asyncpg.PostgresError):
        return reason_of(error)  # str() would add the details, which quote the row
    if isinstance(error, PermanentError):
        return str(error)
    return f"{type(error).__name__}: {error}"
