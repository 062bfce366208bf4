"""An exchange between several harnesses: several services in one process."""

import random
from typing import Any

from warren_messaging.events import AnyEvent, EventData
from warren_messaging.testing.consumer_harness import ConsumerHarness


class InMemoryBroker:
    """Routes the events of each harness to every harness that has a handler for them.

    With a `seed`, queues take turns at random, deliver in random order and in batches of random size, and deliver each
    message up to `copies` times: any disorder that a broker and crashes may cause, repeatable by the seed. There is no
    topology, so it does not test bindings.
    """

    def __init__(self, *harnesses: ConsumerHarness[Any], seed: int | None = None, copies: int = 1) -> None:
        self.harnesses = harnesses
        self.unrouted: list[AnyEvent] = []
        """Events that no harness has a handler for."""
        self._chance = random.Random(seed)  # noqa: S311 - disorder, not secrets
        self._disorder = seed is not None
        self._copies = copies
        self._seen = dict.fromkeys(range(len(harnesses)), 0)

    def publish(self, *events: AnyEvent, exchange: str = "order.exchange") -> None:
        """Put events into the queues of the harnesses that have a handler for them."""
        for event in events:
            takers = [each for each in self.harnesses if each.source_exchange == exchange and _knows(each, event)]
            for taker in takers:
                copies = self._chance.randint(1, self._copies) if self._disorder else self._copies
                taker.enqueue(event, copies=copies)
            if not takers:
                self.unrouted.append(event)

    async def run(self) -> None:
        """Run until all queues are empty, no new events are announced and no scheduled message is due."""
        while await self.step() or await self._publish_due():
            pass

    async def advance(self, seconds: float) -> None:
        """Advance the clocks of all harnesses, and run."""
        for each in self.harnesses:
            await each.advance(seconds)
        await self.run()

    async def step(self) -> bool:
        """Process one batch of one queue. Returns False when all queues are empty."""
        self._route()
        waiting = [each for each in self.harnesses if each.waiting]
        if not waiting:
            return False
        chosen = self._chance.choice(waiting) if self._disorder else waiting[0]
        await chosen.step(self._chance if self._disorder else None)
        return True

    async def _publish_due(self) -> int:
        return sum([await each.publish_due() for each in self.harnesses])

    def _route(self) -> None:
        for index, harness in enumerate(self.harnesses):
            seen, self._seen[index] = self._seen[index], len(harness.events)
            for message, event in zip(harness.messages[seen:], harness.events[seen:], strict=True):
                self.publish(event, exchange=message.exchange)


def _knows(harness: ConsumerHarness[Any], event: AnyEvent) -> bool:
    return type(event.data) in harness.handlers or EventData in harness.handlers
