"""When a queue delivers a failed message again: computed from the queue's arguments and the number of attempts."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from warren.cli.discovery import QueueInfo
from warren_messaging.dead_letters.parked_message import FailureRecord

QUEUE_SUFFIX = ".queue"


class RetryDelay(msgspec.Struct, frozen=True):
    """The delayed retry of one queue: after the n-th attempt n times `minimum`, at most `maximum`."""

    minimum: timedelta
    maximum: timedelta

    def after(self, attempts: int) -> timedelta:
        return min(self.minimum * attempts, self.maximum)


class WaitingMessage(msgspec.Struct, frozen=True):
    """A message in delayed retry."""

    queue: str
    failure: FailureRecord
    next_attempt: datetime | None
    """When the queue makes it available again; None if the queue's arguments are not known."""


def delays_of(queues: Iterable[QueueInfo]) -> dict[str, RetryDelay]:
    """Return the delays of the queues that have delayed retry."""
    found = {}
    for queue in queues:
        minimum, maximum = (queue.milliseconds(f"delayed-retry-{end}") for end in ("min", "max"))
        if minimum is not None and maximum is not None:
            found[queue.name] = RetryDelay(timedelta(milliseconds=minimum), timedelta(milliseconds=maximum))
    return found


def waiting_messages(failures: Iterable[FailureRecord], delays: dict[str, RetryDelay]) -> list[WaitingMessage]:
    """Return the messages of the failures with their next attempt, the earliest first.

    The queue of a service has its name. The broker counts further deliveries that failed, such as those to a process
    that crashed, so the next attempt may be later than computed; and it waits until a consumer takes messages.
    """
    found = []
    for failure in failures:
        queue = f"{failure.service}{QUEUE_SUFFIX}"
        delay = delays.get(queue)
        next_attempt = None if delay is None else failure.last_at + delay.after(failure.attempts)
        found.append(WaitingMessage(queue, failure, next_attempt))
    return sorted(found, key=lambda each: (each.next_attempt or each.failure.last_at, each.failure.key))
