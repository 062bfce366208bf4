"""The frames that acknowledge deliveries, on a channel that writes as slowly as a real one may."""

import asyncio
import random
from typing import Any, cast

import pytest

from warren_messaging import Delivery, Verdict
from warren_messaging.consumer.settlement import Settlement

DONE, RETRY, PARK, RELEASE = Verdict.ACK, Verdict.RETRY, Verdict.DEAD_LETTER, Verdict.RELEASE


class Channel:
    """Settles as the broker does. Each frame takes a turn of the event loop, as when the driver's buffer is full."""

    def __init__(self) -> None:
        self.open: set[int] = set()
        self.settled: dict[int, Verdict | None] = {}
        self.frames: list[str] = []
        self.waited: list[bool] = []

    async def basic_ack(self, tag: int, multiple: bool = False, wait: bool = True) -> None:
        await self._write(f"ack {tag}{' and before' if multiple else ''}", wait)
        self._settle({each for each in self.open if each <= tag} if multiple else {tag}, DONE)

    async def basic_reject(self, tag: int, *, requeue: bool, wait: bool = True) -> None:
        await self._write(f"reject {tag}{' requeue' if requeue else ''}", wait)
        self._settle({tag}, RETRY if requeue else PARK)

    async def basic_nack(self, tag: int, *, multiple: bool = False, requeue: bool, wait: bool = True) -> None:
        if not multiple:
            assert requeue
            await self._write(f"return {tag}", wait)
            self._settle({tag}, RELEASE)
            return
        assert (tag, multiple, requeue) == (0, True, True)
        await self._write("return the rest", True)
        self._settle(set(self.open), None)

    async def basic_qos(self, *, prefetch_count: int) -> None:
        await self._write(f"qos {prefetch_count}", True)

    async def _write(self, frame: str, wait: bool) -> None:
        await asyncio.sleep(0)
        self.frames.append(frame)
        self.waited.append(wait)

    def _settle(self, tags: set[int], verdict: Verdict | None) -> None:
        assert tags <= self.open, f"unknown delivery tag among {tags}: the broker closes the channel"
        self.open -= tags
        self.settled |= dict.fromkeys(tags, verdict)


def settlement(channel: Channel, tags: int) -> Settlement:
    made = Settlement(cast(Any, channel))
    for tag in range(1, tags + 1):
        channel.open.add(tag)
        made.expect(tag)
    return made


def note(settlement: Settlement, verdicts: dict[int, Verdict]) -> None:
    for tag, verdict in verdicts.items():
        settlement.note(Delivery(tag=tag, body=b""), verdict)


async def frames(tags: int, verdicts: dict[int, Verdict]) -> list[str]:
    channel = Channel()
    made = settlement(channel, tags)
    note(made, verdicts)
    await made.flush()
    return channel.frames


async def test_processed_deliveries_from_the_oldest_on_share_one_frame() -> None:
    assert await frames(100, dict.fromkeys(range(1, 101), DONE)) == ["ack 100 and before"]


async def test_the_order_of_verdicts_does_not_matter() -> None:
    assert await frames(3, {3: DONE, 1: DONE, 2: DONE}) == ["ack 3 and before"]


async def test_an_older_delivery_without_a_verdict_is_not_acknowledged() -> None:
    assert await frames(3, {2: DONE, 3: DONE}) == ["ack 2", "ack 3"]


async def test_rejections_are_sent_before_the_acknowledgement_that_would_cover_them() -> None:
    assert await frames(5, {1: DONE, 2: RETRY, 3: PARK, 4: RELEASE, 5: DONE}) == [
        "reject 2 requeue",
        "reject 3",
        "return 4",
        "ack 5 and before",
    ]


async def test_a_flush_waits_for_the_last_frame_only() -> None:
    channel = Channel()
    made = settlement(channel, 3)
    note(made, {1: RETRY, 2: PARK, 3: DONE})
    await made.flush()
    assert channel.waited == [False, False, True]


async def test_without_verdicts_nothing_is_sent() -> None:
    assert await frames(3, {}) == []


@pytest.mark.parametrize("tag", [1, 9])
async def test_a_second_verdict_or_one_on_an_unknown_delivery_is_an_error(tag: int) -> None:
    made = settlement(Channel(), 1)
    note(made, {1: DONE})
    with pytest.raises(AssertionError, match=f"delivery {tag} is settled twice"):
        note(made, {tag: DONE})


async def test_concurrent_flushes_do_not_acknowledge_a_delivery_that_another_rejects() -> None:
    channel = Channel()
    made = settlement(channel, 60)
    note(made, dict.fromkeys(range(1, 51), RETRY))
    first = asyncio.create_task(made.flush())
    await asyncio.sleep(0)
    note(made, dict.fromkeys(range(51, 61), DONE))
    await asyncio.gather(first, made.flush())
    assert channel.settled == dict.fromkeys(range(1, 51), RETRY) | dict.fromkeys(range(51, 61), DONE)


async def test_deliveries_left_by_a_cancelled_flush_are_not_covered_by_the_next() -> None:
    channel = Channel()
    made = settlement(channel, 30)
    note(made, dict.fromkeys(range(1, 21), RETRY))
    first = asyncio.create_task(made.flush())
    for _ in range(5):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    note(made, dict.fromkeys(range(21, 31), DONE))
    await made.flush()
    assert channel.settled == dict.fromkeys(range(1, 21), RETRY) | dict.fromkeys(range(21, 31), DONE)


async def test_random_verdicts_in_concurrent_flushes_reach_the_broker_unchanged() -> None:
    for _ in range(50):
        channel = Channel()
        made = settlement(channel, 40)
        verdicts = {tag: random.choice(list(Verdict)) for tag in random.sample(range(1, 41), 40)}
        flushing = []
        for tag, verdict in verdicts.items():
            note(made, {tag: verdict})
            if random.random() < 0.3:
                flushing.append(asyncio.create_task(made.flush()))
                await asyncio.sleep(0)
        await asyncio.gather(*flushing)
        await made.flush()
        assert channel.settled == verdicts


async def test_the_rest_is_returned_after_the_verdicts_and_twice_because_deliveries_may_be_under_way() -> None:
    channel = Channel()
    made = settlement(channel, 5)
    note(made, {1: DONE, 2: DONE})
    flushing = asyncio.create_task(made.flush())
    await asyncio.sleep(0)
    await asyncio.gather(flushing, made.release_rest())
    assert channel.frames == ["ack 2 and before", "return the rest", "qos 1", "return the rest", "qos 1"]
