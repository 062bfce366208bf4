"""The programs in docs/examples/interop, as processes without the library, exchange events with it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import OrderCompleted, OrderPaid
from tests.messaging_env import MessagingEnv, announce, eventually
from warren_messaging.transaction import Transaction

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples" / "interop"
PAID = OrderPaid(customer="ada", total_cents=990, currency="EUR")
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
async def url(env: MessagingEnv) -> str:
    """The address and login of a program that reads what the library announces, and publishes to the same exchange."""
    await env.separate_announcements()
    await env.add_user("ledger", write="^order.exchange$", read="^announced.queue$")
    broker = env.servers.broker.endpoints
    login = broker.amqps_url(vhost=env.vhost, username="ledger", password="probe-password")
    return f"{login}?cafile={broker.ca_file}"


@asynccontextmanager
async def started(program: str, *arguments: str) -> AsyncIterator[asyncio.Task[str]]:
    """Start an example. The task is its output, and fails if the example does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, EXAMPLES / program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )

    async def output() -> str:
        async with asyncio.timeout(60):
            printed, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return printed.decode()

    try:
        yield asyncio.create_task(output())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def received(env: MessagingEnv, kind: type[Any]) -> AsyncIterator[list[AnyEvent]]:
    """The events of one type that a consumer of the library accepts from the exchange of the announcements."""
    async with env.channel() as channel:
        await channel.queue_bind("probe.queue", "order.exchange", kind.TYPE)
    events: list[AnyEvent] = []

    async def on_event(event: AnyEvent, uow: Transaction) -> list[Any]:
        events.append(event)
        return []

    async with env.consumer({kind: on_event}):
        yield events


async def test_an_event_of_a_plain_program_is_accepted(env: MessagingEnv, url: str) -> None:
    subject = str(uuid4())
    data = '{"customer": "ada", "totalCents": 990, "currency": "EUR"}'
    async with received(env, OrderPaid) as events:
        async with started("publish.py", url, "order.exchange", "order.paid", data, "--subject", subject) as output:
            event_id = (await output).strip()
        await eventually(lambda: len(events) == 1)
    assert (str(events[0].id), str(events[0].subject), events[0].data) == (event_id, subject, PAID)
    assert events[0].source == "/example/ledger"
    assert env.telemetry.failures == []


async def test_an_event_without_a_queue_is_an_error_of_a_plain_program(env: MessagingEnv, url: str) -> None:
    async with env.channel() as channel:
        await channel.queue_unbind("announced.queue", "order.exchange", "#")
    async with started("publish.py", url, "order.exchange", "order.unknown", "{}") as output:
        with pytest.raises(AssertionError, match=r"PublishError"):
            await output


async def test_a_plain_program_reads_what_the_library_announces(env: MessagingEnv, url: str) -> None:
    subject = uuid4()
    async with env.outbox() as outbox, started("consume.py", url, "announced.queue", "--count", "1") as output:
        await announce(outbox, PAID, subject=subject, reference="A-1")
        event = json.loads(await output)
    assert event["data"] == {"customer": "ada", "totalCents": 990, "currency": "EUR"}
    assert (event["type"], event["source"], event["subject"]) == ("order.paid", "/warren/probe", str(subject))
    assert await env.depth("announced.queue") == 0


async def test_the_cloudevents_sdk_reads_an_event_and_writes_one_that_is_accepted(env: MessagingEnv, url: str) -> None:
    subject = uuid4()
    names = (url, "announced.queue", "order.exchange", "order.completed")
    async with (
        received(env, OrderCompleted) as events,
        env.outbox() as outbox,
        started("cloudevents_bridge.py", *names, "--count", "1") as output,
    ):
        await announce(outbox, PAID, subject=subject)
        await output
        await eventually(lambda: len(events) == 1)
    assert (events[0].subject, events[0].data) == (subject, OrderCompleted(customer="ada"))
    assert events[0].causationid is not None


async def test_the_span_of_a_traced_consumer_belongs_to_the_trace_of_the_event(env: MessagingEnv, url: str) -> None:
    async with env.outbox() as outbox, started("traced_consume.py", url, "announced.queue", "--count", "1") as output:
        await announce(outbox, PAID, traceparent=f"00-{TRACE}-{SPAN}-01")
        printed = await output
    spans = {span["name"]: span for span in _objects(printed)}
    delivery, work = spans["order.exchange receive"], spans["handle order.paid"]
    assert [span["context"]["trace_id"] for span in (delivery, work)] == [f"0x{TRACE}"] * 2
    assert delivery["parent_id"] == f"0x{SPAN}"
    assert work["parent_id"] == delivery["context"]["span_id"]


def _objects(text: str) -> list[dict[str, Any]]:
    """Parse JSON objects that follow each other."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:]
    return found
