"""Parking lots: looking into them, replaying from them, removing from them.

A message leaves its lot in one way only: what is to become of it is safe elsewhere, and then it is acknowledged. Until
then it is merely handed out, and the broker puts it back, in its old place, when the reader says so, ends or dies. So
any command may be killed at any moment and run again: a message may then be replayed twice, which the inbox of its
consumer absorbs, and none is lost.
"""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import aiormq.abc
import msgspec

from services.shared.messaging.connection import BrokerAddress, opened, translated
from services.shared.messaging.errors import BrokerUnavailable
from services.shared.messaging.parked import RUN_HEADER, Parked, parked
from services.shared.messaging.pipeline import Outcome
from services.shared.messaging.redrive import Copy, Redrive, Unwritable

UNROUTED = "unrouted.queue"
WINDOW = 500  # messages handed out together; what one of them holds bounds this process's memory
QUIET = 0.5  # seconds without a delivery after which a lot is asked whether it is empty
RPC_TIMEOUT = 10.0  # seconds, for each answer the broker owes us

Choose = Callable[[list[Parked]], Awaitable[list[Parked]]]
"""Those of a window that a command is about."""
Note = Callable[[list[Parked]], Awaitable[None]]
"""Told of messages that something is about to happen, or has happened, to."""
Progress = Callable[[int], None]
"""Called with how many messages a step has dealt with."""


class ParkingLot:
    """One lot, open for reading. What it hands out is ours until `remove` or `release`."""

    def __init__(self, name: str, channel: aiormq.abc.AbstractChannel, address: BrokerAddress) -> None:
        self.name = name
        self._channel = channel
        self._address = address
        self._open: list[dict[int, None]] = []  # tags of each window, in the order of delivery

    async def depth(self) -> int:
        """Messages that are ready to be handed out. Raises TopologyMissing when there is no such queue."""
        with translated(self._address):
            async with asyncio.timeout(RPC_TIMEOUT):
                return int((await self._channel.queue_declare(self.name, passive=True)).message_count or 0)

    async def windows(self, most: int, *, run: str = "", size: int = WINDOW) -> AsyncIterator[list[Parked]]:
        """At most `most` messages, oldest first within each priority, until there are no more.

        What the run named `run` has itself put back, and is parked again already, is passed over: it was not there
        when the run began. Counting alone would not do, since an express message overtakes.
        """
        seen = 0
        while seen < most:
            window = await self._window(min(size, most - seen))
            if not window:
                return
            fresh = [each for each in window if not run or each.headers.get(RUN_HEADER) != run]
            seen += len(fresh)
            if fresh:
                yield fresh

    async def remove(self, messages: Sequence[Parked]) -> None:
        """Acknowledge: gone for good."""
        with translated(self._address):
            for message in messages:
                for tags in self._open:
                    tags.pop(message.tag, None)
                await self._channel.basic_ack(message.tag, wait=message is messages[-1])

    async def release(self) -> None:
        """Put back what was handed out and not removed, in its old order, counted against nothing."""
        windows, self._open = self._open, []
        with translated(self._address):
            for tags in windows:
                # Window by window: all in one go come back in no order among the windows.
                if tags:
                    await self._channel.basic_nack(max(tags), multiple=True, requeue=True)
            async with asyncio.timeout(RPC_TIMEOUT):
                await self._channel.basic_qos(prefetch_count=1)  # its answer comes after all of that is done

    async def _window(self, size: int) -> list[Parked]:
        """The next messages, at most `size`; fewer only when the lot is empty.

        A subscription of its own for each window: its prefetch is then exactly the window, however many messages
        of earlier windows are still held.
        """
        window: list[Parked] = []
        news = asyncio.Event()

        async def take(message: aiormq.abc.DeliveredMessage) -> None:
            window.append(parked(self.name, message))
            news.set()

        tag = f"warren-dlq-{uuid.uuid4().hex[:12]}"
        with translated(self._address):
            async with asyncio.timeout(RPC_TIMEOUT):
                await self._channel.basic_qos(prefetch_count=size)
                await self._channel.basic_consume(self.name, take, consumer_tag=tag)
            while len(window) < size:
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
                await self._channel.basic_cancel(tag)
            await asyncio.sleep(0)  # what came with the answer is handed over by tasks of the driver
        window.sort(key=lambda message: message.tag)
        if window:
            self._open.append(dict.fromkeys(message.tag for message in window))
        return window


@asynccontextmanager
async def parking_lot(address: BrokerAddress, name: str) -> AsyncIterator[ParkingLot]:
    """Open a lot for a block; in the end, however it ends, what was not removed lies where it lay.

    Raises TopologyMissing, AccessRefused or BrokerUnavailable.
    """
    async with opened(address, f"warren dlq {name}") as connection:
        async with asyncio.timeout(RPC_TIMEOUT):
            channel = await connection.channel(publisher_confirms=False)
        lot = ParkingLot(name, channel, address)
        await lot.depth()
        try:
            yield lot
        finally:
            if not channel.is_closed:
                with contextlib.suppress(BrokerUnavailable, TimeoutError):
                    await lot.release()


class Tally(msgspec.Struct):
    """What a replay did."""

    seen: int = 0
    replayed: int = 0
    left: int = 0
    reasons: dict[str, int] = {}
    """Why messages that were chosen stay parked, and how many for each."""

    def add(self, other: "Tally") -> None:
        self.seen += other.seen
        self.replayed += other.replayed
        self.left += other.left
        for why, count in other.reasons.items():
            self.reasons[why] = self.reasons.get(why, 0) + count


async def replay(
    address: BrokerAddress,
    lot: ParkingLot,
    choose: Choose,
    *,
    to: Sequence[str] = (),
    limit: int | None = None,
    run: str | None = None,
    before: Note | None = None,
    undo: Note | None = None,
    progress: Progress = lambda _: None,
    window: int = WINDOW,
) -> Tally:
    """Put chosen messages back into the queue that gave them up; unrouted ones, which had none, into each of `to`.

    Each is published and confirmed by every queue first, and leaves the lot after that. One that no queue takes,
    or that is forged (`Parked.forgery`), stays. At most what lay in the lot at the beginning is replayed, each
    message once, even if it is parked again meanwhile.

    `before` is told what is about to be published, `undo` what of that stays after all.
    """
    run = run or uuid.uuid4().hex
    tally = Tally(reasons={})
    async with opened(address, "warren dlq replay") as connection:
        redrive = Redrive(connection, address, run)
        async for messages in lot.windows(await lot.depth(), run=run, size=window):
            chosen = await choose(messages)
            chosen = chosen if limit is None else chosen[: limit - tally.replayed - tally.left]
            left = {message: why for message in chosen if (why := _obstacle(message, to)) is not None}
            sound = [message for message in chosen if message not in left]
            if sound:
                if before is not None:
                    await before(sound)
                copies = [Copy(message, queue) for message in sound for queue in _targets(message, to)]
                failed = _failed(copies, await redrive.publish(copies))
                await lot.remove([message for message in sound if message not in failed])
                if undo is not None and failed:
                    await undo(list(failed))
                left |= failed
            whys = Counter(left.values())
            tally.add(Tally(len(messages), len(chosen) - len(left), len(left), dict(whys)))
            progress(len(messages))
            if limit is not None and tally.replayed + tally.left >= limit:
                break
    return tally


async def drop(
    lot: ParkingLot,
    choose: Choose,
    record: Note,
    *,
    limit: int | None = None,
    progress: Progress = lambda _: None,
) -> int:
    """Remove chosen messages for good, each after `record` has returned for it; returns how many."""
    dropped = 0
    async for window in lot.windows(await lot.depth()):
        chosen = await choose(window)
        chosen = chosen if limit is None else chosen[: limit - dropped]
        if chosen:
            await record(chosen)
            await lot.remove(chosen)
            dropped += len(chosen)
        progress(len(window))
        if limit is not None and dropped >= limit:
            break
    return dropped


def _targets(message: Parked, to: Sequence[str]) -> Sequence[str]:
    return to if message.home is None else [message.home]


def _obstacle(message: Parked, to: Sequence[str]) -> str | None:
    """Why a message must not even be tried."""
    if not _targets(message, to):
        return "it never was in a queue of a service: name one that it is to go to"
    return f"{message.forgery}: a replay would hide that" if message.forgery else None


def _failed(copies: Sequence[Copy], answers: Sequence[Outcome | Unwritable]) -> dict[Parked, str]:
    failed: dict[Parked, str] = {}
    for copy, answer in zip(copies, answers, strict=True):
        match answer:
            case Outcome.RETURNED:
                failed[copy.parked] = f"no queue takes it: is {copy.queue} bound to redrive.exchange?"
            case Outcome.REFUSED:
                failed[copy.parked] = f"{copy.queue} refused it: it is full, or could not store it"
            case Unwritable():
                failed[copy.parked] = str(answer)
    return failed
