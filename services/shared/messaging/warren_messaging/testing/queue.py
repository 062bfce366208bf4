"""A queue in memory with a clock of its own: what the broker would hold back for a minute takes no time."""

import itertools
import random
from collections.abc import Iterable

import msgspec

from warren_messaging.consumer.delivery import Delivery


class Queued(msgspec.Struct, eq=False):
    delivery: Delivery
    due: float
    tries: int = 0
    """Deliveries so far."""


class InMemoryQueue:
    """Waits before another try grow as those of a topology file's `retry`: once, twice, three times `first_wait`, at
    most `max_wait` seconds."""

    def __init__(self, first_wait: float, max_wait: float) -> None:
        self.clock = 0.0
        """Seconds since the beginning; moves on only when everything in the queue waits."""
        self.history: list[Delivery] = []
        """Everything that was put in, once each."""
        self._waits = (first_wait, max_wait)
        self._waiting: dict[int, Queued] = {}
        self._tags = itertools.count(1)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            if not delivery.returned:
                self.history.append(delivery)
            self._wait(Queued(delivery, self.clock))

    def take(self, limit: int, chance: random.Random | None) -> list[Queued]:
        """The next batch, which stays in the queue until it is settled; at random, and of random size, by `chance`."""
        self.clock = max(self.clock, min(each.due for each in self._waiting.values()))
        due = [each for each in self._waiting.values() if each.due <= self.clock]
        if chance is not None:
            return chance.sample(due, chance.randint(1, min(limit, len(due))))
        return due[:limit]

    def settled(self, queued: Queued) -> None:
        """Its verdict is known."""
        del self._waiting[queued.delivery.tag]
        queued.tries += 1

    def release(self, queued: Queued) -> None:
        """It was not tried: it may be taken again at once."""
        del self._waiting[queued.delivery.tag]
        queued.delivery = msgspec.structs.replace(queued.delivery, returned=True)
        self._wait(queued)

    def retry(self, queued: Queued) -> None:
        """Hold it back, then deliver it again."""
        first, longest = self._waits
        queued.due = self.clock + min(first * queued.tries, longest)
        queued.delivery = msgspec.structs.replace(queued.delivery, returned=True)
        self._wait(queued)

    def _wait(self, queued: Queued) -> None:
        tag = next(self._tags)
        queued.delivery = msgspec.structs.replace(queued.delivery, tag=tag)
        self._waiting[tag] = queued
