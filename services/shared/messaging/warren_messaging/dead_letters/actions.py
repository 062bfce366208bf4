"""Replays parked messages, or drops them.

A message is first stored elsewhere, and then acknowledged in its lot. So both actions may be killed at any moment and
run again: a message may then be replayed twice, which the inbox of its consumer recognises, and none is lost.
"""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from warren_messaging.amqp.connection import BrokerAddress, opened
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.dead_letters.parked_message import ParkedMessage
from warren_messaging.dead_letters.parking_lot import WINDOW, ParkingLot
from warren_messaging.dead_letters.redrive import PropertiesNotPublishable, Redrive, RedriveCopy

Select = Callable[[list[ParkedMessage]], Awaitable[list[ParkedMessage]]]
"""Returns the messages of a window that are selected."""
Note = Callable[[list[ParkedMessage]], Awaitable[None]]
"""Called with messages before or after an action."""
Progress = Callable[[int], None]
"""Called with the number of messages that a step has processed."""


class ReplaySummary(msgspec.Struct):
    """The result of a replay."""

    seen: int = 0
    replayed: int = 0
    left: int = 0
    reasons: dict[str, int] = {}
    """Number of selected messages that stay parked, by reason."""

    def add(self, other: "ReplaySummary") -> None:
        self.seen += other.seen
        self.replayed += other.replayed
        self.left += other.left
        for why, count in other.reasons.items():
            self.reasons[why] = self.reasons.get(why, 0) + count


async def replay(
    address: BrokerAddress,
    lot: ParkingLot,
    select: Select,
    *,
    to: Sequence[str] = (),
    limit: int | None = None,
    run: str | None = None,
    before: Note | None = None,
    undo: Note | None = None,
    progress: Progress = lambda _: None,
    window: int = WINDOW,
) -> ReplaySummary:
    """Return selected messages to the queue that parked them; unrouted messages to each queue of `to`.

    Each message is published and confirmed by every queue first, and leaves the lot after that. A message that no queue
    accepts, or that is forged (`ParkedMessage.forgery_reason`), stays. Only messages that were in the lot at the
    beginning are replayed, each once, even if it is parked again meanwhile.

    `before` is called with messages that are about to be published, `undo` with those of them that stay parked.
    """
    run = run or uuid.uuid4().hex
    summary = ReplaySummary(reasons={})
    async with opened(address, "warren dlq replay") as connection:
        redrive = Redrive(connection, address, run)
        async for messages in lot.windows(await lot.depth(), run=run, size=window):
            selected = await select(messages)
            selected = selected if limit is None else selected[: limit - summary.replayed - summary.left]
            left = {message: why for message in selected if (why := _obstacle(message, to)) is not None}
            sound = [message for message in selected if message not in left]
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
            summary.add(ReplaySummary(len(messages), len(selected) - len(left), len(left), dict(whys)))
            progress(len(messages))
            if limit is not None and summary.replayed + summary.left >= limit:
                break
    return summary


async def drop(
    lot: ParkingLot,
    select: Select,
    record: Note,
    *,
    limit: int | None = None,
    progress: Progress = lambda _: None,
) -> int:
    """Remove selected messages for good, each after `record` has returned for it. Returns their number."""
    dropped = 0
    async for window in lot.windows(await lot.depth()):
        selected = await select(window)
        selected = selected if limit is None else selected[: limit - dropped]
        if selected:
            await record(selected)
            await lot.remove(selected)
            dropped += len(selected)
        progress(len(window))
        if limit is not None and dropped >= limit:
            break
    return dropped


def _targets(message: ParkedMessage, to: Sequence[str]) -> Sequence[str]:
    return to if message.home is None else [message.home]


def _obstacle(message: ParkedMessage, to: Sequence[str]) -> str | None:
    """Return why a message must not be published."""
    if not _targets(message, to):
        return "it was never in a queue of a service: name the target queue"
    return f"{message.forgery_reason}: a replay would hide that" if message.forgery_reason else None


def _failed(
    copies: Sequence[RedriveCopy], results: Sequence[PublishResult | PropertiesNotPublishable]
) -> dict[ParkedMessage, str]:
    failed: dict[ParkedMessage, str] = {}
    for copy, result in zip(copies, results, strict=True):
        match result:
            case PublishResult.RETURNED:
                failed[copy.parked] = f"no queue accepts it: is {copy.queue} bound to redrive.exchange?"
            case PublishResult.REFUSED:
                failed[copy.parked] = f"{copy.queue} refused it: it is full, or could not store it"
            case PropertiesNotPublishable():
                failed[copy.parked] = str(result)
    return failed
