"""A handler that hangs. Its own deadline comes long before the broker's patience with consumers ends."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from faults.harness import Rig
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed
from tests.stage import ARGUMENTS, Stage, event_of, eventually
from warren_messaging import Transaction, codec
from warren_messaging.consumer import processor

PATIENCE = 4000  # milliseconds that the broker waits for an acknowledgement


@pytest.fixture
async def stage(rig: Rig, tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(rig.servers, tmp_path)
    await stage.set_up()
    await stage.add_user("probe", write="^order.exchange$", read="^slow.queue$")
    async with stage.channel() as channel:
        arguments = ARGUMENTS | {"x-consumer-timeout": PATIENCE}
        await channel.queue_declare("slow.queue", durable=True, arguments=arguments)
    yield stage
    await stage.tear_down()


@pytest.mark.parametrize(
    ("deadline", "hanging"),
    [
        pytest.param(1.0, 30.0, id="own deadline first"),
        pytest.param(60.0, 7.0, id="broker gives up first", marks=pytest.mark.long),
    ],
)
async def test_slow_consumer(stage: Stage, monkeypatch: pytest.MonkeyPatch, deadline: float, hanging: float) -> None:
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
    async with stage.consumer({OrderConfirmed: hang_once}, queue="slow.queue"):
        for event in events:
            await stage.send(codec.encode(event), queue="slow.queue")
        await eventually(lambda: len(stage.record.processed_) == 3)
        await eventually(lambda: _is_empty(stage))
    first = deadline < hanging
    assert sorted(handled) == sorted([event.id for event in events] + ([handled[0]] if first else []))
    assert [reason for reason, *_ in stage.record.failed_] == (["took too long"] if first else [])
    assert any("paused" in text for text in stage.record.states) != first


async def _is_empty(stage: Stage) -> bool:
    return await stage.depth("slow.queue") == 0
