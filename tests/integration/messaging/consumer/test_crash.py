"""Consumer processes that are killed at the worst moments: events are published at least once, with one effect each.

A process that is stopped as Kubernetes does it also repeats nothing.
"""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from services.shared.contracts import CATALOGUE, AnyEvent
from services.shared.contracts.orders import OrderConfirmed, OrderDeliveryConfirmed, OrderPaid, OrderShipped
from tests.integration.messaging.consumer import crashing_process
from tests.integration.messaging.consumer.crashing_process import (
    CRASH_AFTER_CALLING,
    CRASH_HALF_OPEN,
    FAILURES,
    CrashSettings,
)
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import Codec, encode
from warren_messaging.testing import event_of

CONFIRMED = OrderConfirmed(customer="gayal")
PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")
SHIPPED = OrderShipped(customer="gayal", tracking="WR1")
DELIVERY_CONFIRMED = OrderDeliveryConfirmed(customer="gayal")
_codec = Codec(CATALOGUE)


@dataclass
class ProcessRunner:
    """Starts consumer processes on a messaging environment and reads what they leave behind."""

    env: MessagingEnv
    _calls: Path
    _arrived: list[AnyEvent] = field(default_factory=list)

    @asynccontextmanager
    async def process(
        self, crash_point: str | None = None, seconds: float = 0.0
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        env = self.env
        settings = CrashSettings(env.settings(), self._calls, crash_point, seconds, self.unavailable)
        command = [sys.executable, "-m", crashing_process.__name__, msgspec.json.encode(settings, enc_hook=str)]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def crash(self, crash_point: str, seconds: float = 0.0) -> None:
        """Run a process until it kills itself."""
        async with self.process(crash_point, seconds) as process, asyncio.timeout(20):
            assert await process.wait() == -signal.SIGKILL

    async def wait_until_idle(self, effects: int) -> None:
        """Wait for this number of effects, an empty outbox and an empty queue."""

        async def idle() -> bool:
            if len(await self.env.recorded()) < effects:
                return False
            waiting = await self.env.unpublished_count()
            return waiting == 0 and await self.env.depth("probe.queue") == 0

        await eventually(idle, seconds=40)

    async def announced(self) -> list[AnyEvent]:
        self._arrived += [_codec.decode(message.body) for message in await self.env.drain("announced.queue")]
        return self._arrived

    @property
    def unavailable(self) -> Path:
        """While this file exists, each call fails."""
        return self._calls.with_name("unavailable")

    def calls(self) -> list[str]:
        return self._calls.read_text().split()


@pytest.fixture
async def runner(env: MessagingEnv, tmp_path: Path) -> ProcessRunner:
    await env.separate_announcements()
    (tmp_path / "calls").touch()
    return ProcessRunner(env, tmp_path / "calls")


@pytest.mark.parametrize(
    ("point", "copies"),
    [
        ("before_commit", {1}),
        ("before_publishing", {1}),
        ("before_removing", {2}),
        ("before_acknowledging", {1, 2}),  # the relay publishes at the same time
    ],
)
async def test_an_event_whose_consumer_is_killed_is_published_at_least_once_with_one_effect(
    runner: ProcessRunner, point: str, copies: set[int]
) -> None:
    event = event_of(CONFIRMED)
    await runner.env.send(encode(event))
    await runner.crash(point)
    assert len(await runner.env.recorded()) == (0 if point == "before_commit" else 1)
    async with runner.process():
        await runner.wait_until_idle(effects=1)
    assert await runner.env.recorded() == [event.logicalid]
    announced = await runner.announced()
    assert {(each.subject, each.sourcesequence) for each in announced} == {(event.subject, 1)}
    assert len({each.id for each in announced}) == 1
    assert len(announced) in copies


@pytest.mark.parametrize(
    ("point", "effects", "scheduled", "copies"),
    [
        ("before_commit", 0, 0, {1}),  # of the transaction that schedules
        ("before_deleting", 1, 1, {1}),  # the move has locked the row
        ("after_deleting", 1, 1, {1}),
        ("after_storing", 1, 1, {1}),  # all of the move is done but its commit
        ("before_publishing", 1, 0, {1}),  # it is committed
        ("before_removing", 1, 0, {2}),
    ],
)
async def test_a_scheduled_message_whose_process_is_killed_is_published_with_one_effect(
    runner: ProcessRunner, point: str, effects: int, scheduled: int, copies: set[int]
) -> None:
    event = event_of(SHIPPED)
    await runner.env.send(encode(event))
    await runner.crash(point)
    assert len(await runner.env.recorded()) == effects
    assert await runner.env.due_count() == scheduled
    async with runner.process():
        await runner.wait_until_idle(effects=1)
    assert await runner.env.recorded() == [event.logicalid]
    announced = await runner.announced()
    assert {(each.subject, each.sourcesequence, each.causationid) for each in announced} == {
        (event.subject, 1, event.id)
    }
    assert len({each.id for each in announced}) == 1
    assert len(announced) in copies


@pytest.mark.parametrize(
    ("point", "waiting"), [("before_commit", 1), ("after_deleting", 1), ("before_acknowledging", 0)]
)
async def test_a_cancelled_message_is_never_published_though_the_process_that_cancels_it_is_killed(
    runner: ProcessRunner, point: str, waiting: int
) -> None:
    env, event = runner.env, event_of(SHIPPED)
    await env.send(encode(event))
    async with runner.process(seconds=3600):
        await runner.wait_until_idle(effects=1)
    cancelling = event_of(DELIVERY_CONFIRMED, subject=event.subject)
    await env.send(encode(cancelling))
    await runner.crash(point)
    assert len(await env.sql("TABLE scheduled")) == waiting
    async with runner.process():
        await runner.wait_until_idle(effects=2)
        assert await env.sql("TABLE scheduled") == []
        await env.advance(3600)
    assert sorted(await env.recorded()) == sorted([event.logicalid, cancelling.logicalid])
    assert await runner.announced() == []


async def test_an_effect_killed_between_its_call_and_its_result_is_repeated_under_the_same_key(
    runner: ProcessRunner,
) -> None:
    event = event_of(PAID)
    await runner.env.send(encode(event))
    await runner.crash(CRASH_AFTER_CALLING)
    assert await runner.env.recorded() == []
    async with runner.process():
        await runner.wait_until_idle(effects=1)
    assert runner.calls() == [str(event.logicalid)] * 2
    assert await runner.env.recorded() == [event.logicalid]
    assert len(await runner.announced()) == 1


@pytest.mark.parametrize("point", ["before_recording", "opening", "paused", CRASH_HALF_OPEN])
async def test_a_process_killed_while_its_circuit_breaker_works_uses_up_no_more_attempts(
    runner: ProcessRunner, point: str
) -> None:
    events = [event_of(PAID) for _ in range(12)]
    runner.unavailable.touch()
    await runner.env.send(*map(encode, events))
    await runner.crash(point)
    failed = await runner.env.sql("SELECT attempts FROM failures")
    assert sum(row["attempts"] for row in failed) == {"before_recording": 0, "opening": FAILURES - 1}.get(
        point, FAILURES
    )
    runner.unavailable.unlink()
    async with runner.process():
        await runner.wait_until_idle(effects=len(events))
    assert sorted(await runner.env.recorded()) == sorted(event.logicalid for event in events)
    assert await runner.env.depth("probe.dlq") == 0
    assert await runner.env.sql("SELECT attempts, state FROM failures") == [(1, "succeeded")] * len(failed)


@pytest.mark.parametrize("point", ["before_reserving", "after_reserving", CRASH_AFTER_CALLING])
async def test_a_process_killed_while_its_calls_wait_for_their_slots_loses_no_message_and_counts_no_failure(
    runner: ProcessRunner, point: str
) -> None:
    events = [event_of(PAID) for _ in range(12)]
    await runner.env.send(*map(encode, events))
    await runner.crash(point)
    reserved = await runner.env.sql("SELECT granted FROM rate_limits")
    assert bool(reserved) == (point != "before_reserving")
    async with runner.process():
        await runner.wait_until_idle(effects=len(events))
    assert sorted(await runner.env.recorded()) == sorted(event.logicalid for event in events)
    assert set(runner.calls()) == {str(event.logicalid) for event in events}
    assert await runner.env.sql("SELECT FROM failures") == []


async def test_a_process_killed_repeatedly_at_random_loses_no_event_and_repeats_no_effect(
    runner: ProcessRunner,
) -> None:
    env = runner.env
    events = [event_of(CONFIRMED if n % 3 else PAID) for n in range(600)]
    await env.send(*map(encode, events[:300]))
    for _ in range(3):
        async with runner.process(seconds=0.003) as process:
            await env.wait_for_recorded(len(await env.recorded()) + 1, seconds=30)
            await asyncio.sleep(random.uniform(0, 0.3))
            process.kill()
        await env.send(*map(encode, events[:100]))
    await env.send(*map(encode, events[300:]))
    async with runner.process():
        await runner.wait_until_idle(effects=600)
    assert sorted(await env.recorded()) == sorted(event.logicalid for event in events)
    announced = {event.id: event for event in await runner.announced()}
    assert sorted(event.subject for event in announced.values()) == sorted(event.subject for event in events)
    assert await env.depth("probe.dlq") == 0


async def test_7_on_sigterm_a_consumer_finishes_and_publishes_its_batch_and_exits_with_0(runner: ProcessRunner) -> None:
    env = runner.env
    # Ten seconds of work, so that the signal arrives in the middle of it on a busy machine, too.
    events = [event_of(CONFIRMED) for _ in range(1000)]
    await env.send(*map(encode, events))
    async with runner.process(seconds=0.01) as process:
        await env.wait_for_recorded(1, seconds=30)
        process.terminate()
        async with asyncio.timeout(10):
            assert await process.wait() == 0
    done = await env.recorded()
    assert 0 < len(done) < len(events)
    announced = await runner.announced()
    assert len(announced) == len({event.id for event in announced}) == len(done)
    assert await env.outbox_count() == 0
    returned = await env.drain("probe.queue")
    assert len(returned) == len(events) - len(done)
    # A rollout brings no message nearer to the parking lot.
    assert not [message for message in returned if "x-delivery-count" in (message.header.properties.headers or {})]
