"""A handler that hangs. Its own deadline comes long before the broker's patience with consumers ends."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from faults.harness import Rig
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import QUEUE_ARGUMENTS, MessagingEnv, eventually
from warren_messaging import Transaction, codec
from warren_messaging.consumer import processor
from warren_messaging.testing import event_of

PATIENCE = 4000  # milliseconds that the broker waits for an acknowledgement


@pytest.fixture
async def env(rig: Rig, tmp_path: Path) -> AsyncIterator[MessagingEnv]:
    env = MessagingEnv(rig.servers, tmp_path)
    await env.set_up()
    await env.add_user("probe", write="^order.exchange$", read="^slow.queue$")
    async with env.channel() as channel:
        arguments = QUEUE_ARGUMENTS | {"x-consumer-timeout": PATIENCE}
        await channel.queue_declare("slow.queue", durable=True, arguments=arguments)
    yield env
    await env.tear_down()


@pytest.mark.parametrize(
    ("deadline", "hanging"),
    [
        pytest.param(1.0, 30.0, id="own deadline first"),
        pytest.param(60.0, 7.0, id="broker gives up first", marks=pytest.mark.long),
    ],
)
async def test_slow_consumer(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch, deadline: float, hanging: float
) -> None:
    """With a deadline that is too long, the broker ends the subscription and another is taken up: slower, and as
    safe."""
    monkeypatch.setattr(processor, "TRANSACTION_TIMEOUT", deadline)
    handled: list[uuid.UUID] = []

    async def hang_once(event: Event[EventData], work: Transaction) -> Iterable[EventData]:
        handled.append(event.id)
        if len(handled) == 1:
            await asyncio.sleep(hanging)
        return []

    events = [event_of(OrderConfirmed(customer="gayal")) for _ in range(3)]
    async with env.consumer({OrderConfirmed: hang_once}, queue="slow.queue"):
        for event in events:
            await env.send(codec.encode(event), queue="slow.queue")
        await eventually(lambda: len(env.telemetry.processed_events) == 3)
        await eventually(lambda: _is_empty(env))
    first = deadline < hanging
    assert sorted(handled) == sorted([event.id for event in events] + ([handled[0]] if first else []))
    assert [reason for reason, *_ in env.telemetry.failures] == (["took too long"] if first else [])
    assert any("paused" in text for text in env.telemetry.states) != first


async def _is_empty(env: MessagingEnv) -> bool:
    return await env.depth("slow.queue") == 0
