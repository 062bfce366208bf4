"""Acknowledges and rejects deliveries, in as few frames as possible."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import aiormq.abc

from warren_messaging.consumer.delivery import Verdict
from warren_messaging.delivery import Delivery


class Settlement:
    """The deliveries of one channel that are not settled yet, and the verdicts that are not sent yet."""

    def __init__(self, channel: aiormq.abc.AbstractChannel) -> None:
        self._channel = channel
        self._open: dict[int, None] = {}  # in the order of delivery, which is the order of tags
        self._noted: dict[int, Verdict] = {}
        # One flush at a time: frames wait when the driver's buffer is full, and the acknowledgement "up to here" of a
        # later flush would overtake, and cover, a rejection of an earlier one.
        self._writing = asyncio.Lock()

    @property
    def unsettled(self) -> int:
        """Number of deliveries that have arrived and whose verdicts are not sent."""
        return len(self._open)

    def expect(self, tag: int) -> None:
        """A delivery has arrived."""
        self._open[tag] = None

    def note(self, delivery: Delivery, verdict: Verdict) -> None:
        """Keep a verdict until the next flush. A second verdict on the same delivery is a bug."""
        if delivery.tag not in self._open or delivery.tag in self._noted:
            raise AssertionError(f"delivery {delivery.tag} is settled twice")
        self._noted[delivery.tag] = verdict

    async def release_rest(self) -> None:
        """Return every delivery that has no verdict, uncounted, including deliveries that have not arrived yet.

        The broker may send deliveries after it has confirmed the end of the subscription, and the driver drops
        them. The closing channel would return them and count a failure of each.
        """
        async with self._writing:
            self._open.clear()
            self._noted.clear()
            for _ in range(2):
                await self._channel.basic_nack(0, multiple=True, requeue=True)  # 0: all that are outstanding
                await self._channel.basic_qos(prefetch_count=1)  # its answer comes after all deliveries in flight

    async def flush(self) -> None:
        """Send the verdicts. Acknowledged tags from the oldest open one on share one frame.

        Verdicts that a cancelled flush has not sent stay noted, so that no later acknowledgement covers them.
        """
        async with self._writing:
            frames = self._frames(dict(self._noted))
            # The wait for the last frame covers all frames: the end of the connection drops unwritten ones.
            for index, (tags, send) in enumerate(frames, start=1):
                await send(index == len(frames))
                for tag in tags:
                    self._open.pop(tag, None)
                    self._noted.pop(tag, None)

    def _frames(self, noted: dict[int, Verdict]) -> list[tuple[list[int], Callable[[bool], Awaitable[None]]]]:
        """Return pairs: the tags that a frame settles, and the function that sends it."""
        up_to = None
        for tag in self._open:
            if tag not in noted:
                break
            if noted[tag] is Verdict.ACK:
                up_to = tag
        frames: list[tuple[list[int], Callable[[bool], Awaitable[None]]]] = []
        together = []
        for tag, verdict in noted.items():
            if verdict is Verdict.ACK and up_to is not None and tag <= up_to:
                together.append(tag)
            else:
                frames.append(([tag], partial(self._send, tag, verdict)))
        if up_to is not None:
            # An acknowledgement of "all up to here" must not cover a rejected one: those go first.
            frames.append((together, partial(self._acknowledge_up_to, up_to)))
        return frames

    async def _acknowledge_up_to(self, tag: int, wait: bool) -> None:
        await self._channel.basic_ack(tag, multiple=True, wait=wait)

    async def _send(self, tag: int, verdict: Verdict, wait: bool) -> None:
        match verdict:
            case Verdict.ACK:
                await self._channel.basic_ack(tag, wait=wait)
            case Verdict.RETRY:
                # reject, not nack: only reject waits in the queue's delayed retry and is counted there.
                await self._channel.basic_reject(tag, requeue=True, wait=wait)
            case Verdict.DEAD_LETTER:
                await self._channel.basic_reject(tag, requeue=False, wait=wait)
            case Verdict.RELEASE:
                # nack, not reject: it comes back at once and is not counted.
                await self._channel.basic_nack(tag, requeue=True, wait=wait)
