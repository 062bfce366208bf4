"""A handler that hangs. Its transaction timeout is much shorter than the broker's timeout for acknowledgements."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from faults.harness import FaultHarness
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import QUEUE_ARGUMENTS, MessagingEnv, eventually
from warren_messaging import Transaction, codec
from warren_messaging.consumer import batch
from warren_messaging.testing import event_of

CONSUMER_TIMEOUT = 4000  # milliseconds that the broker waits for an acknowledgement


@pytest.fixture
async def env(harness: FaultHarness, tmp_path: Path) -> AsyncIterator[MessagingEnv]:
    env = MessagingEnv(harness.servers, tmp_path)
    await env.set_up()
    await env.add_user("probe", write="^order.exchange$", read="^slow.queue$")
    async with env.channel() as channel:
        arguments = QUEUE_ARGUMENTS | {"x-consumer-timeout": CONSUMER_TIMEOUT}
        await channel.queue_declare("slow.queue", durable=True, arguments=arguments)
    yield env
    await env.tear_down()


@pytest.mark.parametrize(
    ("timeout", "hangs_for"),
    [
        pytest.param(1.0, 30.0, id="transaction timeout first"),
        pytest.param(60.0, 7.0, id="consumer timeout first", marks=pytest.mark.long),
    ],
)
async def test_an_event_whose_handler_hangs_is_retried(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch, timeout: float, hangs_for: float
) -> None:
    """If the transaction timeout is too long, the broker cancels the consumer, which subscribes again; no event is
    lost."""
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT", timeout)
    handled: list[uuid.UUID] = []

    async def hang_once(event: Event[EventData], uow: Transaction) -> Iterable[EventData]:
        handled.append(event.id)
        if len(handled) == 1:
            await asyncio.sleep(hangs_for)
        return []

    events = [event_of(OrderConfirmed(customer="gayal")) for _ in range(3)]
    async with env.consumer({OrderConfirmed: hang_once}, queue="slow.queue"):
        for event in events:
            await env.send(codec.encode(event), queue="slow.queue")
        await eventually(lambda: len(env.telemetry.processed_events) == 3)
        await eventually(lambda: _is_empty(env))
    timed_out = timeout < hangs_for
    assert sorted(handled) == sorted([event.id for event in events] + ([handled[0]] if timed_out else []))
    assert [reason for reason, *_ in env.telemetry.failures] == (["took too long"] if timed_out else [])
    assert any("paused" in text for text in env.telemetry.statuses) != timed_out


async def _is_empty(env: MessagingEnv) -> bool:
    return await env.depth("slow.queue") == 0
