"""Processes batches of deliveries and returns a verdict for each. This module does not use AMQP.

A batch shares one transaction, which covers inbox, handlers, state and outbox. If it fails, each delivery is processed
again in a transaction of its own: only the deliveries that fail alone are retried or parked.
"""

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar
from uuid import UUID

from warren_messaging import tracing
from warren_messaging.codec import Codec
from warren_messaging.consumer.batch import BatchRunner, without
from warren_messaging.consumer.delivery import (
    AckCallback,
    DecodedDelivery,
    EffectRun,
    HandlerRun,
    Verdict,
    logical_id_of,
)
from warren_messaging.consumer.effects import EffectRunner
from warren_messaging.consumer.spans import BatchSpans
from warren_messaging.delivery import Delivery
from warren_messaging.errors import MalformedEvent, PermanentError, UndecodableProperties
from warren_messaging.events import AnyEvent
from warren_messaging.failure import FailureReason
from warren_messaging.handlers import AnyEffect, Effect, Handler, Handlers, handler_of
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.sender import forgery_reason
from warren_messaging.telemetry import Telemetry
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)


class Processor(Generic[T]):
    """Runs a service's handlers and effects with the library's guarantees.

    At most `concurrency` effects run at a time in this process. `dedup_key` returns the value by which the inbox
    recognises a repetition. Unless `verify_senders` is false, an event that another user sent in the name of its source
    is parked.
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
        verify_senders: bool = True,
    ) -> None:
        self._consumer = consumer
        self._telemetry = telemetry
        self._handlers = handlers
        self._codec = codec
        self._dedup_key = dedup_key
        self._verify_senders = verify_senders
        self._batches = BatchRunner(consumer, transaction, database, outbox, telemetry, retry)
        effects = [handler for handler in handlers.values() if isinstance(handler, Effect)]
        self._effects = EffectRunner(consumer, self._batches, effects, database, telemetry, concurrency)
        self.has_effects = bool(effects)

    async def process(self, deliveries: Sequence[Delivery], ack: AckCallback) -> None:
        """Process all deliveries, and call `ack` once for each that has a verdict.

        Raises Unavailable if a server is unavailable, a circuit breaker is open, or a rate limit is used up. The caller
        then releases the deliveries that have no verdict, and their attempts are not counted.
        """
        self._telemetry.received(self._consumer, deliveries)
        with BatchSpans(len(deliveries)) as spans:
            await self._process(deliveries, ack, spans)

    async def _process(self, deliveries: Sequence[Delivery], ack: AckCallback, spans: BatchSpans) -> None:
        handler_runs: list[HandlerRun[T]] = []
        effect_runs: list[EffectRun[T]] = []
        started = time.perf_counter()
        for delivery in deliveries:
            event: AnyEvent | None = None
            refusal = FailureReason.MALFORMED
            try:
                if delivery.defect is not None:
                    raise UndecodableProperties(delivery.defect)
                event = self._codec.decode(delivery.body, delivery.routing_key)
                handler = self._handler_for(event)
                if self._verify_senders:
                    refusal = FailureReason.SENDER
                    _verify_sender(event, delivery)
            except PermanentError as error:
                span = spans.start(delivery, event)
                verdict = await self._batches.record_refusal(delivery, error, refusal, event, started)
                tracing.fail(span, error)
                spans.end(span, verdict)
                ack(delivery, verdict)
                continue
            key, span = self._dedup_key(event), spans.start(delivery, event)
            if isinstance(handler, Effect):
                effect_runs.append(EffectRun(delivery, event, key, span, handler))
            else:
                handler_runs.append(HandlerRun(delivery, event, key, span, handler))

        def on_verdict(each: DecodedDelivery, verdict: Verdict) -> None:
            spans.end(each.span, verdict)
            ack(each.delivery, verdict)

        if handler_runs:
            await self._batches.run(handler_runs, self._handle, on_verdict)
        if effect_runs:
            await self._effects.run(effect_runs, on_verdict)

    def interrupt(self) -> None:
        """End the waits for slots of rate limits, since the consumer stops: these deliveries get no verdict."""
        self._effects.interrupt()

    def resume(self) -> None:
        """Undo `interrupt`."""
        self._effects.resume()

    def _handler_for(self, event: AnyEvent) -> Handler[T] | AnyEffect[T]:
        handler = handler_of(self._handlers, event)
        if handler is None:
            raise MalformedEvent(f"{self._consumer} has no handler for {event.type!r}")
        return handler

    async def _handle(self, batch: Sequence[HandlerRun[T]]) -> None:
        started = time.perf_counter()
        async with self._batches.transaction() as uow:
            fresh = await self._batches.store_new(uow, batch)
            await uow.load([run.event for run in fresh])
            announced = [await self._batches.announce(uow, run, run.handler(run.event, uow)) for run in fresh]
            if len(fresh) < len(batch):
                await uow.repeated([run.event for run in without(batch, fresh)])
            await self._batches.mark_succeeded(uow, batch)
        self._batches.report(fresh, announced, batch, time.perf_counter() - started)


def _verify_sender(event: AnyEvent, delivery: Delivery) -> None:
    reason = forgery_reason(
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        user_id=delivery.user_id,
        source=event.source,
        event_type=event.type,
    )
    if reason is not None:
        raise PermanentError(reason)
