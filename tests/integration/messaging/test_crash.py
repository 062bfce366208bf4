"""Real processes that are killed at the worst moments: published at least once, an effect once, nothing lost.

And stopped as Kubernetes stops them: nothing is lost then either, and nothing repeated.
"""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from services.shared.contracts import CATALOGUE, AnyEvent
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.integration.messaging.child import (
    CRASH_AFTER_CALLING,
    Setting,
    crash_after_commit_before_acknowledging,
    crash_after_commit_before_publishing,
    crash_after_publishing_before_removing,
    crash_before_commit,
)
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import Codec, encode
from warren_messaging.testing import event_of

CONFIRMED = OrderConfirmed(customer="gayal")
PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")
_codec = Codec(CATALOGUE)


class World:
    """The env, what the child leaves on it, and the child."""

    def __init__(self, env: MessagingEnv, folder: Path) -> None:
        self.env = env
        self._calls = folder / "calls"
        self._calls.touch()
        self._arrived: list[AnyEvent] = []

    @asynccontextmanager
    async def child(self, point: str | None = None, seconds: float = 0.0) -> AsyncIterator[asyncio.subprocess.Process]:
        env = self.env
        setting = Setting(env.broker_address(), env.database_address(), self._calls, point, seconds)
        command = [
            sys.executable,
            "-m",
            "tests.integration.messaging.child",
            msgspec.json.encode(setting, enc_hook=str).decode(),
        ]
        child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
            await child.wait()

    async def crashes(self, point: str) -> None:
        """Run the child until it kills itself."""
        async with self.child(point) as child, asyncio.timeout(20):
            assert await child.wait() == -signal.SIGKILL

    async def comes_to_rest(self, effects: int) -> None:
        """Wait until so many effects are there, everything is published and the queue is empty."""

        async def rested() -> bool:
            if len(await self.seen()) < effects:
                return False
            waiting = (await self.env.sql("SELECT count(*) FROM outbox"))[0][0]
            return bool(waiting == 0 and await self.env.depth("probe.queue") == 0)

        await eventually(rested, seconds=40)

    async def seen(self) -> list[UUID]:
        return [row["id"] for row in await self.env.sql("TABLE seen")]

    async def announced(self) -> list[AnyEvent]:
        self._arrived += [_codec.decode(message.body) for message in await self.env.drain("announced.queue")]
        return self._arrived

    def calls(self) -> list[str]:
        return self._calls.read_text().split()


@pytest.fixture
async def world(env: MessagingEnv, tmp_path: Path) -> World:
    await env.sql("CREATE TABLE seen (id uuid)")
    async with env.channel() as channel:
        await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
        await channel.queue_declare("announced.queue", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind("announced.queue", "order.exchange", "#")
    return World(env, tmp_path)


@pytest.mark.parametrize(
    ("point", "copies"),
    [
        (crash_before_commit, {1}),
        (crash_after_commit_before_publishing, {1}),
        (crash_after_publishing_before_removing, {2}),
        (crash_after_commit_before_acknowledging, {1, 2}),  # the relay is at work at the same time
    ],
    ids=["before_commit", "before_publishing", "before_removing", "before_acknowledging"],
)
async def test_killed_at_the_worst_moment_it_publishes_at_least_once_and_has_one_effect(
    world: World, point: Callable[[], None], copies: set[int]
) -> None:
    event = event_of(CONFIRMED)
    await world.env.send(encode(event))
    await world.crashes(point.__name__)
    assert len(await world.seen()) == (0 if point is crash_before_commit else 1)
    async with world.child():
        await world.comes_to_rest(effects=1)
    assert await world.seen() == [event.logicalid]
    announced = await world.announced()
    assert {(said.subject, said.sourcesequence) for said in announced} == {(event.subject, 1)}
    assert len({said.id for said in announced}) == 1
    assert len(announced) in copies


async def test_killed_between_an_effects_call_and_its_result_it_calls_again_under_the_same_key(world: World) -> None:
    event = event_of(PAID)
    await world.env.send(encode(event))
    await world.crashes(CRASH_AFTER_CALLING)
    assert await world.seen() == []
    async with world.child():
        await world.comes_to_rest(effects=1)
    assert world.calls() == [str(event.logicalid)] * 2
    assert await world.seen() == [event.logicalid]
    assert len(await world.announced()) == 1


async def test_killed_at_any_moment_again_and_again_it_loses_and_doubles_nothing(world: World) -> None:
    events = [event_of(CONFIRMED if n % 3 else PAID) for n in range(600)]
    await world.env.send(*map(encode, events[:300]))
    for _ in range(3):
        async with world.child(seconds=0.003) as child:
            before = len(await world.seen())
            await eventually(lambda before=before: world_moved(world, before), seconds=30)
            await asyncio.sleep(random.uniform(0, 0.3))
            child.kill()
        await world.env.send(*map(encode, events[:100]))
    await world.env.send(*map(encode, events[300:]))
    async with world.child():
        await world.comes_to_rest(effects=600)
    assert sorted(await world.seen()) == sorted(event.logicalid for event in events)
    announced = {event.id: event for event in await world.announced()}
    assert sorted(event.subject for event in announced.values()) == sorted(event.subject for event in events)
    assert await world.env.depth("probe.dlq") == 0


async def world_moved(world: World, before: int) -> bool:
    return len(await world.seen()) > before


async def test_7_on_sigterm_it_finishes_what_is_under_way_publishes_it_and_ends_with_0(world: World) -> None:
    # Ten seconds of work, so that the signal comes in the middle of it on a busy machine, too.
    events = [event_of(CONFIRMED) for _ in range(1000)]
    await world.env.send(*map(encode, events))
    async with world.child(seconds=0.01) as child:
        await eventually(lambda: world_moved(world, 0), seconds=30)
        child.terminate()
        async with asyncio.timeout(10):
            assert await child.wait() == 0
    done = await world.seen()
    assert 0 < len(done) < len(events)
    announced = await world.announced()
    assert len(announced) == len({event.id for event in announced}) == len(done)
    assert (await world.env.sql("SELECT count(*) FROM outbox"))[0][0] == 0
    returned = await world.env.drain("probe.queue")
    assert len(returned) == len(events) - len(done)
    # Uncounted: a rollout brings no message nearer to the parking lot.
    assert not [message for message in returned if "x-delivery-count" in (message.header.properties.headers or {})]
