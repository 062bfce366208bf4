"""A queue in memory with its own clock, so that delays take no time."""

import itertools
import random
from collections.abc import Iterable

import msgspec

from warren_messaging.consumer.delivery import Delivery


class Queued(msgspec.Struct, eq=False):
    delivery: Delivery
    due: float
    attempts: int = 0
    """Number of attempts so far."""


class InMemoryQueue:
    """Delays before reattempts grow as with `retry` in a topology file: once, twice, three times `first_wait`, at most
    `max_wait` seconds."""

    def __init__(self, first_wait: float, max_wait: float) -> None:
        self.clock = 0.0
        """Seconds since the start; advances only when all messages in the queue are delayed."""
        self.history: list[Delivery] = []
        """Every message that was put in, once."""
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
        """Return the next batch, with `chance` a random one. It stays in the queue until it is settled."""
        self.clock = max(self.clock, min(each.due for each in self._waiting.values()))
        due = [each for each in self._waiting.values() if each.due <= self.clock]
        if chance is not None:
            return chance.sample(due, chance.randint(1, min(limit, len(due))))
        return due[:limit]

    def settled(self, queued: Queued) -> None:
        """Remove a message that has a verdict."""
        del self._waiting[queued.delivery.tag]
        queued.attempts += 1

    def release(self, queued: Queued) -> None:
        """Return a message that was not tried; it is ready at once."""
        del self._waiting[queued.delivery.tag]
        queued.delivery = msgspec.structs.replace(queued.delivery, returned=True)
        self._wait(queued)

    def retry(self, queued: Queued) -> None:
        """Return a message after a delay."""
        first, longest = self._waits
        queued.due = self.clock + min(first * queued.attempts, longest)
        queued.delivery = msgspec.structs.replace(queued.delivery, returned=True)
        self._wait(queued)

    def _wait(self, queued: Queued) -> None:
        tag = next(self._tags)
        queued.delivery = msgspec.structs.replace(queued.delivery, tag=tag)
        self._waiting[tag] = queued
