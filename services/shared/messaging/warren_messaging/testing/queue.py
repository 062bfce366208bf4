"""A queue in memory with its own clock, so that delays take no time."""

import itertools
import random
from collections.abc import Iterable

import msgspec

from warren_messaging.delivery import Delivery


class Queued(msgspec.Struct, eq=False):
    delivery: Delivery
    due: float
    attempts: int = 0
    """Number of attempts so far."""


class InMemoryQueue:
    """A queue with delayed retry, as with `retry` in a topology file: the n-th retry waits n times `min_seconds`, at
    most `max_seconds`."""

    def __init__(self, min_seconds: float, max_seconds: float) -> None:
        self.clock = 0.0
        """Seconds since the start; `take` advances it when all messages in the queue are delayed."""
        self.history: list[Delivery] = []
        """Every message that was put in, once."""
        self._min_seconds, self._max_seconds = min_seconds, max_seconds
        self._waiting: dict[int, Queued] = {}
        self._tags = itertools.count(1)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            if not delivery.returned:
                self.history.append(delivery)
            self._add(Queued(delivery, self.clock))

    def take(self, limit: int, rng: random.Random | None) -> list[Queued]:
        """Return the next batch, or a random part of it if `rng` is given.

        Its messages stay in the queue until `remove`, `retry` or `release` is called for them.
        """
        self.clock = max(self.clock, min(each.due for each in self._waiting.values()))
        due = [each for each in self._waiting.values() if each.due <= self.clock]
        if rng is not None:
            return rng.sample(due, rng.randint(1, min(limit, len(due))))
        return due[:limit]

    def remove(self, queued: Queued) -> None:
        """Remove a message: it is acknowledged or dead-lettered."""
        del self._waiting[queued.delivery.tag]

    def release(self, queued: Queued) -> None:
        """Return a message that was not tried; it is ready at once."""
        self.remove(queued)
        self._add_returned(queued)

    def retry(self, queued: Queued) -> None:
        """Return a message whose attempt failed; it is ready after a delay."""
        self.remove(queued)
        queued.due = self.clock + min(self._min_seconds * queued.attempts, self._max_seconds)
        self._add_returned(queued)

    def _add_returned(self, queued: Queued) -> None:
        queued.delivery = msgspec.structs.replace(queued.delivery, returned=True)
        self._add(queued)

    def _add(self, queued: Queued) -> None:
        tag = next(self._tags)
        queued.delivery = msgspec.structs.replace(queued.delivery, tag=tag)
        self._waiting[tag] = queued
