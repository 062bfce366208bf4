"""Emptying parking lots: back to where a message came from, or away for good.

A message leaves its lot in one way only: what is to become of it is safe elsewhere, and then it is acknowledged. So
both may be killed at any moment and run again: a message may then be replayed twice, which the inbox of its consumer
absorbs, and none is lost.
"""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from warren_messaging.amqp.connection import BrokerAddress, opened
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.dead_letters.parked_message import ParkedMessage
from warren_messaging.dead_letters.parking_lot import WINDOW, ParkingLot
from warren_messaging.dead_letters.redrive import Redrive, RedriveCopy, Unwritable

Choose = Callable[[list[ParkedMessage]], Awaitable[list[ParkedMessage]]]
"""Those of a window that a command is about."""
Note = Callable[[list[ParkedMessage]], Awaitable[None]]
"""Told of messages that something is about to happen, or has happened, to."""
Progress = Callable[[int], None]
"""Called with how many messages a step has dealt with."""


class ReplaySummary(msgspec.Struct):
    """What a replay did."""

    seen: int = 0
    replayed: int = 0
    left: int = 0
    reasons: dict[str, int] = {}
    """Why messages that were chosen stay parked, and how many for each."""

    def add(self, other: "ReplaySummary") -> None:
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
) -> ReplaySummary:
    """Put chosen messages back into the queue that gave them up; unrouted ones, which had none, into each of `to`.

    Each is published and confirmed by every queue first, and leaves the lot after that. One that no queue takes,
    or that is forged (`ParkedMessage.forgery`), stays. At most what lay in the lot at the beginning is replayed, each
    message once, even if it is parked again meanwhile.

    `before` is told what is about to be published, `undo` what of that stays after all.
    """
    run = run or uuid.uuid4().hex
    tally = ReplaySummary(reasons={})
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
                copies = [RedriveCopy(message, queue) for message in sound for queue in _targets(message, to)]
                failed = _failed(copies, await redrive.publish(copies))
                await lot.remove([message for message in sound if message not in failed])
                if undo is not None and failed:
                    await undo(list(failed))
                left |= failed
            whys = Counter(left.values())
            tally.add(ReplaySummary(len(messages), len(chosen) - len(left), len(left), dict(whys)))
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


def _targets(message: ParkedMessage, to: Sequence[str]) -> Sequence[str]:
    return to if message.home is None else [message.home]


def _obstacle(message: ParkedMessage, to: Sequence[str]) -> str | None:
    """Why a message must not even be tried."""
    if not _targets(message, to):
        return "it never was in a queue of a service: name one that it is to go to"
    return f"{message.forgery}: a replay would hide that" if message.forgery else None


def _failed(copies: Sequence[RedriveCopy], answers: Sequence[PublishResult | Unwritable]) -> dict[ParkedMessage, str]:
    failed: dict[ParkedMessage, str] = {}
    for copy, answer in zip(copies, answers, strict=True):
        match answer:
            case PublishResult.RETURNED:
                failed[copy.parked] = f"no queue takes it: is {copy.queue} bound to redrive.exchange?"
            case PublishResult.REFUSED:
                failed[copy.parked] = f"{copy.queue} refused it: it is full, or could not store it"
            case Unwritable():
                failed[copy.parked] = str(answer)
    return failed
