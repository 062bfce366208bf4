"""Reads one parking lot.

A delivered message stays at the broker until it is acknowledged: the broker requeues it when the reader rejects it,
ends or crashes. Messages are read in windows, so that a lot of any size needs memory for one window only.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import takewhile

from aio_pika.abc import AbstractChannel
from aiormq import spec
from aiormq.channel import Channel as DriverChannel

from warren_messaging.amqp.connection import BrokerAddress, driver_channel, opened, wrap_driver_errors
from warren_messaging.amqp.received import Received, consume
from warren_messaging.dead_letters.parked_message import RUN_HEADER, ParkedMessage, parked
from warren_messaging.errors import BrokerUnavailable

WINDOW = 500  # messages in a window, at most
FIRST_WINDOW = 8  # messages, while their size is not known
GROWTH = 8  # times as many messages in a window as in the last one, at most
WINDOW_BYTES = 8 * 1024 * 1024  # of bodies in a window of more than one message; limits the memory of the process
QUIET = 0.5  # seconds without a delivery after which the depth of the lot is read
SETTLE_TIMEOUT = 5.0  # seconds; reached only while other readers come and go
RPC_TIMEOUT = 120.0  # seconds; the broker's answers wait behind bodies in flight, also on a slow line


class ParkingLot:
    """One open lot. Delivered messages are held by this process until `remove` or `release`."""

    def __init__(
        self, name: str, channel: AbstractChannel, driver_channel: DriverChannel, address: BrokerAddress
    ) -> None:
        self.name = name
        self._channel = channel
        self._deliveries = driver_channel
        self._address = address
        self._open: list[dict[int, None]] = []  # tags of each window, in the order of delivery
        self._others: int | None = None  # subscriptions of other processes
        self._room = FIRST_WINDOW

    async def depth(self) -> int:
        """Return the number of messages that are ready. Raises TopologyMissing when the queue does not exist."""
        return int((await self._state()).message_count or 0)

    async def windows(self, most: int, *, run: str = "", size: int = WINDOW) -> AsyncIterator[list[ParkedMessage]]:
        """Yield at most `most` messages, oldest first within each priority, until the lot is empty.

        Messages that the run named `run` has returned, and that are parked again, are skipped: they were not parked
        when the run began. A count would not be enough, since a message of high priority overtakes others.
        """
        seen = 0
        while seen < most:
            window = await self._take(min(size, most - seen))
            if not window:
                return
            messages = (parked(self.name, message) for message in window)
            fresh = [each for each in messages if not run or each.headers.get(RUN_HEADER) != run]
            seen += len(fresh)
            if fresh:
                yield fresh

    async def remove(self, messages: Sequence[ParkedMessage]) -> None:
        """Acknowledge messages. They are removed for good when `release` has returned."""
        tags = {message.tag for message in messages}
        waiting = [tag for window in self._open for tag in window]
        together = list(takewhile(tags.__contains__, waiting))
        alone = sorted(tags - set(together))
        for window in self._open:
            for tag in tags & window.keys():
                del window[tag]
        with wrap_driver_errors(self._address):
            if together:
                await self._deliveries.basic_ack(together[-1], multiple=True)
            for tag in alone:
                await self._deliveries.basic_ack(tag, wait=tag is alone[-1])

    async def release(self) -> None:
        """Requeue messages that were delivered and not removed, in their old order and uncounted.

        The broker appends requeued messages to those requeued before, so a part of the lot would change places with
        the rest: the rest is read first, and then everything is requeued. Only a reader that is killed may leave
        another order. Bodies are not kept meanwhile.

        Returns when the queue has applied all acknowledgements. Otherwise the end of the channel would discard those
        that the broker still holds back: more than a thousand of two thousand, measured.
        """
        if any(self._open):
            rest = await self.depth()
            while rest > 0 and (count := len(await self._take(min(rest, WINDOW), keep=False))):
                rest -= count
        windows, self._open = [tags for tags in self._open if tags], []
        with wrap_driver_errors(self._address):
            for tags in windows:
                # Window by window: requeued together, the windows would mix.
                await self._deliveries.basic_nack(max(tags), multiple=True, requeue=True)
        # An ended subscription counts as long as one of its messages is neither acknowledged nor returned.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_TIMEOUT):
                while self._others is not None and ((await self._state()).consumer_count or 0) > self._others:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    async def _state(self) -> spec.Queue.DeclareOk:
        with wrap_driver_errors(self._address):
            async with asyncio.timeout(RPC_TIMEOUT):
                return (await self._channel.declare_queue(self.name, passive=True)).declaration_result

    async def _take(self, size: int, *, keep: bool = True) -> list[Received]:
        """Return the next messages, at most `size`, and fewer if they are large; none only when the lot is empty.

        Each window has its own subscription: its prefetch is then exactly the window, however many messages of earlier
        windows are still held.

        AMQP limits the messages in flight only by number. If bodies are large, the window ends at WINDOW_BYTES, or with
        its first message; the rest is requeued at once and comes next. Without `keep`, bodies are dropped.
        """
        if self._others is None:
            self._others = (await self._state()).consumer_count or 0
        size = min(size, self._room) if keep else size
        window: list[Received] = []
        rest: list[int] = []
        kept = 0
        news = asyncio.Event()

        def take(message: Received) -> None:
            nonlocal kept
            news.set()
            if not keep:
                message.body = b""
            elif rest or (window and kept + len(message.body) > WINDOW_BYTES):
                rest.append(message.tag)
                return
            window.append(message)
            kept += len(message.body)

        tag = f"warren-dlq-{uuid.uuid4().hex[:12]}"
        with wrap_driver_errors(self._address):
            async with asyncio.timeout(RPC_TIMEOUT):
                await self._channel.set_qos(prefetch_count=size)
                await consume(self._deliveries, self.name, take, tag=tag)
            while len(window) < size and not rest:
                news.clear()
                try:
                    async with asyncio.timeout(QUIET):
                        await news.wait()
                except TimeoutError:
                    if self._channel.is_closed:
                        raise BrokerUnavailable(f"the broker closed the channel that read {self.name}") from None
                    if not await self.depth():
                        break
            async with asyncio.timeout(RPC_TIMEOUT):
                await self._deliveries.basic_cancel(tag)
            for each in rest:
                await self._deliveries.basic_nack(each, requeue=True, wait=each is rest[-1])
        if window:
            self._open.append(dict.fromkeys(message.tag for message in window))
        if window and keep:
            self._room = max(min(WINDOW_BYTES * len(window) // max(kept, 1), GROWTH * size), 1)
        return window


@asynccontextmanager
async def parking_lot(address: BrokerAddress, name: str) -> AsyncIterator[ParkingLot]:
    """Open a lot for a block. At its end, all messages that were not removed are back in their old order.

    Raises TopologyMissing, AccessRefused or BrokerUnavailable.
    """
    async with opened(address, f"warren dlq {name}") as connection:
        async with asyncio.timeout(RPC_TIMEOUT):
            channel = await connection.channel(publisher_confirms=False)
            deliveries = await driver_channel(channel)
        lot = ParkingLot(name, channel, deliveries, address)
        await lot.depth()
        try:
            yield lot
        finally:
            if not channel.is_closed:
                with contextlib.suppress(BrokerUnavailable, TimeoutError):
                    await lot.release()
