"""The spans of publishing: each is in the trace of its event, and its context is in the header of the message."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderCancelRequested, OrderConfirmed
from tests.messaging_env import MessagingEnv, announce, eventually, record
from tests.recorded_spans import PARENT, UNSAMPLED, RecordedSpans, context_of, links_of, parent_of, recorded_spans
from warren_messaging import Transaction
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.codec import Codec, encode
from warren_messaging.testing import event_of

CONFIRMED = OrderConfirmed(customer="gayal")


@pytest.fixture
def spans() -> Iterator[RecordedSpans]:
    with recorded_spans() as spans:
        yield spans


async def published(env: MessagingEnv) -> list[tuple[str | None, str | None]]:
    """Return the contexts of each message: in its body and in its header."""
    decode = Codec(CATALOGUE).decode
    return [
        (decode(message.body).traceparent, (message.header.properties.headers or {}).get("traceparent"))
        for message in await env.drain("probe.queue")
    ]


async def test_the_header_has_the_context_of_the_publish_and_the_body_that_of_the_event(
    env: MessagingEnv, spans: RecordedSpans
) -> None:
    async with env.outbox() as outbox:
        await announce(outbox, CONFIRMED, traceparent=PARENT)
        await announce(outbox, CONFIRMED, traceparent=UNSAMPLED)
        await env.wait_for_outbox()
    span = spans.one("publish ")
    assert await published(env) == [(PARENT, context_of(span)), (UNSAMPLED, UNSAMPLED)]
    assert (span.name, span.kind) == ("publish order.exchange:order.confirmed", SpanKind.PRODUCER)
    assert (parent_of(span), span.status.status_code) == (PARENT, StatusCode.UNSET)
    attributes = dict(span.attributes or {})
    assert attributes.pop("messaging.message.id") and attributes.pop("messaging.message.conversation_id")
    assert attributes == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.destination.name": "order.exchange:order.confirmed",
        "messaging.rabbitmq.destination.routing_key": "order.confirmed",
    }


async def test_an_event_without_a_context_begins_a_trace(env: MessagingEnv, spans: RecordedSpans) -> None:
    async with env.outbox() as outbox:
        await announce(outbox, CONFIRMED)
        await env.wait_for_outbox()
    span = spans.one("publish ")
    assert parent_of(span) is None
    assert await published(env) == [(None, context_of(span))]


async def test_a_consumer_continues_from_the_header(env: MessagingEnv, spans: RecordedSpans) -> None:
    async with env.consumer({OrderConfirmed: record}), env.outbox() as outbox:
        await announce(outbox, CONFIRMED, traceparent=PARENT)
        await env.wait_for_recorded(1)
    publish, process = spans.one("publish "), spans.one("process ")
    assert process.name == "process order.exchange:order.confirmed:probe.queue"
    assert (parent_of(process), links_of(process)) == (context_of(publish), [context_of(publish)])


async def test_a_header_that_cannot_be_decoded_hides_no_event(env: MessagingEnv, spans: RecordedSpans) -> None:
    event = event_of(CONFIRMED, traceparent=PARENT)
    async with env.consumer({OrderConfirmed: record}):
        await env.send(encode(event), headers={"traceparent": 7})
        await env.wait_for_recorded(1)
    assert parent_of(spans.one("process ")) == PARENT


async def test_a_scheduled_message_is_published_in_the_trace_in_which_it_was_scheduled(
    env: MessagingEnv, spans: RecordedSpans
) -> None:
    async with env.due_message_mover() as outbox:
        await announce(outbox, CONFIRMED, traceparent=PARENT, deliver_at=datetime.now(UTC) + timedelta(hours=1))
        await env.wait_for_scheduled(1)
        await env.advance(3600)
        await env.wait_for_scheduled(0)
        await env.wait_for_outbox()
    span = spans.one("publish ")
    assert (parent_of(span), await published(env)) == (PARENT, [(PARENT, context_of(span))])


async def test_another_process_publishes_in_the_same_trace(env: MessagingEnv, spans: RecordedSpans) -> None:
    async with env.outbox() as outbox:
        await outbox.relay.stop(0)  # type: ignore[attr-defined]  # as after a crash: the row stays in the table
        async with outbox.transaction(Transaction) as uow:
            uow.announce(CONFIRMED, subject=event_of(CONFIRMED).subject, traceparent=PARENT)
        assert spans.all() == []
    async with env.outbox():
        await env.wait_for_outbox()
    assert parent_of(spans.one("publish ")) == PARENT


async def test_a_returned_message_has_a_failed_span_for_each_attempt(env: MessagingEnv, spans: RecordedSpans) -> None:
    async with env.channel() as channel, env.outbox() as outbox:
        await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
        await announce(outbox, OrderCancelRequested(reason="fraud"), traceparent=PARENT)
        await eventually(lambda: ("order.cancel_requested", PublishResult.RETURNED) in env.telemetry.publish_results)
        await channel.queue_bind("probe.queue", "order.exchange", "order.*")
        await env.wait_for_outbox()
    *failed, last = spans.all("publish ")
    assert last.status.status_code is StatusCode.UNSET
    assert failed and {parent_of(span) for span in [*failed, last]} == {PARENT}
    for span in failed:
        assert ((span.attributes or {})["error.type"], span.status.description) == ("returned", "no queue took it")
