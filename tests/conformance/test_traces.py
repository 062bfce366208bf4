"""Guarantee 5: the spans of processing, after OpenTelemetry's conventions 1.44 for RabbitMQ."""

import asyncio
from collections.abc import Iterable, Iterator

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.conformance.backend import COMPLETED, CONFIRMED, Backend, RecordingTransaction, fail_first, fail_if_bad
from tests.conformance.backend import record_and_announce as announce_completed
from tests.recorded_spans import (
    PARENT,
    TRACE,
    UNSAMPLED,
    RecordedSpans,
    context_of,
    links_of,
    parent_of,
    recorded_spans,
)
from warren_messaging import Effect, PermanentError, TransientError
from warren_messaging.testing import event_of

OTHER = "00-" + "a" * 32 + "-00f067aa0ba902b7-01"


@pytest.fixture
def spans() -> Iterator[RecordedSpans]:
    with recorded_spans() as spans:
        yield spans


async def test_5_a_delivery_has_a_span_below_its_publish_and_linked_to_it(
    backend: Backend, spans: RecordedSpans
) -> None:
    event = event_of(CONFIRMED, traceparent=PARENT)
    async with backend.consume({OrderConfirmed: announce_completed}) as queue:
        await queue.deliver(event)
        (announced,) = await queue.announced()
    span = spans.one("process ")
    assert (parent_of(span), links_of(span), span.kind) == (PARENT, [PARENT], SpanKind.CONSUMER)
    assert span.status.status_code is StatusCode.UNSET
    attributes = dict(span.attributes or {})
    assert span.name == f"process {attributes.pop('messaging.destination.name')}"
    assert isinstance(attributes.pop("messaging.rabbitmq.message.delivery_tag"), int)
    assert attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.rabbitmq.destination.routing_key": "order.confirmed",
        "messaging.message.id": str(event.id),
        "messaging.message.conversation_id": str(event.subject),
    }
    assert announced.traceparent == context_of(span), "an event is announced in the span of its cause"


async def test_5_a_trace_that_is_not_recorded_has_no_span_and_goes_on(backend: Backend, spans: RecordedSpans) -> None:
    async with backend.consume({OrderConfirmed: announce_completed}) as queue:
        await queue.deliver(event_of(CONFIRMED, traceparent=UNSAMPLED))
        assert [event.traceparent for event in await queue.announced()] == [UNSAMPLED]
    assert spans.all() == []


async def test_5_without_a_tracer_provider_the_context_of_the_cause_goes_on(backend: Backend) -> None:
    async with backend.consume({OrderConfirmed: announce_completed}) as queue:
        await queue.deliver(event_of(CONFIRMED, traceparent=PARENT), event_of(CONFIRMED))
        assert {event.traceparent for event in await queue.announced()} == {PARENT, None}


async def test_5_each_attempt_at_a_delivery_has_a_span(backend: Backend, spans: RecordedSpans) -> None:
    async with backend.consume({OrderConfirmed: fail_first(2, TransientError("not yet"))}) as queue:
        await queue.deliver(event_of(CONFIRMED, traceparent=PARENT))
    attempts = spans.all("process ")
    assert [(span.attributes or {}).get("warren.outcome") for span in attempts] == ["retried", "retried", None]
    assert {parent_of(span) for span in attempts} == {PARENT}
    for failed in attempts[:2]:
        assert (failed.attributes or {})["error.type"] == "warren_messaging.errors.TransientError"
        assert (failed.status.status_code, failed.status.description) == (StatusCode.ERROR, "not yet")
    assert attempts[2].status.status_code is StatusCode.UNSET


async def test_5_a_parked_delivery_has_a_failed_span(backend: Backend, spans: RecordedSpans) -> None:
    async with backend.consume({OrderConfirmed: fail_if_bad(PermanentError("closed"))}) as queue:
        await queue.deliver(event_of(CONFIRMED, traceparent=PARENT, reference="bad"))
        assert len(await queue.parked()) == 1
    span = spans.one("process ")
    assert (span.attributes or {})["warren.outcome"] == "parked"
    assert span.status.status_code is StatusCode.ERROR


async def test_5_the_text_of_a_foreign_error_is_not_recorded(backend: Backend, spans: RecordedSpans) -> None:
    async with backend.consume({OrderConfirmed: fail_if_bad(ValueError("ada@example.com"))}, attempts=1) as queue:
        await queue.deliver(event_of(CONFIRMED, traceparent=PARENT, reference="bad"))
    span = spans.one("process ")
    assert ((span.attributes or {})["error.type"], span.status.description) == ("ValueError", None)


async def test_5_a_refused_delivery_has_a_failed_span(backend: Backend, spans: RecordedSpans) -> None:
    event = event_of(CONFIRMED, traceparent=PARENT)
    async with backend.consume({OrderConfirmed: announce_completed}) as queue:
        await queue.deliver(event, user="intruder")
        assert len(await queue.parked()) == 1
    span = spans.one("process ")
    assert (parent_of(span), (span.attributes or {})["warren.outcome"]) == (PARENT, "parked")


async def test_5_a_repeated_delivery_says_so(backend: Backend, spans: RecordedSpans) -> None:
    event = event_of(CONFIRMED, traceparent=PARENT)
    async with backend.consume({OrderConfirmed: announce_completed}) as queue:
        await queue.deliver(event)
        await queue.deliver(event)
    outcomes = [(span.attributes or {}).get("warren.outcome") for span in spans.all("process ")]
    assert outcomes == [None, "repeated"]


async def test_5_a_batch_has_a_span_that_is_linked_to_each_of_its_messages(
    backend: Backend, spans: RecordedSpans
) -> None:
    contexts = [f"00-{TRACE[:-1]}{n:x}-b7ad6b7169203331-01" for n in range(8)]
    events = [event_of(CONFIRMED, traceparent=each) for each in [*contexts, UNSAMPLED]]
    async with backend.consume({OrderConfirmed: announce_completed}) as queue:
        await queue.deliver(*events, together=True)
        announced = {event.causationid: event.traceparent for event in await queue.announced()}
        sizes = [size for size in queue.batches() if size > 1]
    batches = spans.all("receive ")
    assert [(span.attributes or {})["messaging.batch.message_count"] for span in batches] == sizes
    processed = spans.all("process ")
    assert len(processed) == len(contexts)
    for batch in batches:
        links = links_of(batch)
        assert (batch.kind, parent_of(batch)) == (SpanKind.CLIENT, links[0])
        inside = [span for span in processed if context_of(batch) in links_of(span)]
        assert [parent_of(span) for span in inside] == links
        ids = [(span.attributes or {})["messaging.message.id"] for span in inside]
        assert [(link.attributes or {})["messaging.message.id"] for link in batch.links] == ids
    # Each event goes on in its own trace, also the one that is not recorded.
    by_parent = {parent_of(span): context_of(span) for span in processed}
    assert [announced[event.id] for event in events] == [*(by_parent[each] for each in contexts), UNSAMPLED]


async def test_5_an_effect_is_performed_within_the_span_of_its_delivery(backend: Backend, spans: RecordedSpans) -> None:
    tracer = trace.get_tracer("test")

    async def prepare(event: Event[OrderPaid], uow: RecordingTransaction) -> str:
        return event.traceparent or ""

    async def perform(context: str) -> str:
        with tracer.start_as_current_span(f"call {context}"):
            await asyncio.sleep(0.001)
        return context

    async def complete(
        event: Event[OrderPaid], intent: str, result: str, uow: RecordingTransaction
    ) -> Iterable[EventData]:
        return [COMPLETED]

    paid = OrderPaid(customer="gayal", total_cents=1, currency="EUR")
    events = [event_of(paid, traceparent=each) for each in (PARENT, OTHER, UNSAMPLED)]
    async with backend.consume({OrderPaid: Effect(prepare, perform, complete)}) as queue:
        await queue.deliver(*events, together=True)
        announced = {event.causationid: event.traceparent for event in await queue.announced()}
    for event, context in zip(events[:2], (PARENT, OTHER), strict=True):
        (process,) = [span for span in spans.all("process ") if parent_of(span) == context]
        assert parent_of(spans.one(f"call {context}")) == context_of(process)
        assert announced[event.id] == context_of(process)
    assert announced[events[2].id] == UNSAMPLED
    assert spans.all(f"call {UNSAMPLED}") == []
