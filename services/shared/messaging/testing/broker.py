"""Several rehearsals with an exchange between them: a whole conversation of services in one process."""

import random
from collections.abc import Sequence
from typing import Any

from services.shared.contracts import AnyEvent, EventData
from services.shared.messaging.testing.rehearsal import Rehearsal


class InMemoryBroker:
    """Routes what each rehearsal announces to every rehearsal whose handlers know it.

    With a `seed`, queues take turns at random, hand out what they hold in random order and in batches of random size,
    and deliver each message up to `copies` times: every disorder that a broker and its crashes may cause, and the
    same again for the same seed. There is no topology: that bindings agree with handlers is for another test.
    """

    def __init__(self, *rehearsals: Rehearsal[Any], seed: int | None = None, copies: int = 1) -> None:
        self.rehearsals = rehearsals
        self.unrouted: list[AnyEvent] = []
        """Events that no rehearsal knows."""
        self._chance = random.Random(seed)  # noqa: S311 - disorder, not secrets
        self._disorder = seed is not None
        self._copies = copies
        self._seen = dict.fromkeys(range(len(rehearsals)), 0)

    def publish(self, *events: AnyEvent) -> None:
        """Put events into the queues that want them."""
        for event in events:
            takers = [
                each for each in self.rehearsals if type(event.data) in each.handlers or EventData in each.handlers
            ]
            for taker in takers:
                copies = self._chance.randint(1, self._copies) if self._disorder else self._copies
                taker.enqueue(event, copies=copies)
            if not takers:
                self.unrouted.append(event)

    async def run(self) -> None:
        """Until no queue holds anything and nothing new is announced."""
        self._route()
        while waiting := [each for each in self.rehearsals if each.waiting]:
            chosen = self._chance.choice(waiting) if self._disorder else waiting[0]
            await chosen.step(self._chance if self._disorder else None)
            self._route()

    def _route(self) -> None:
        for index, rehearsal in enumerate(self.rehearsals):
            news: Sequence[AnyEvent] = rehearsal.events[self._seen[index] :]
            self._seen[index] += len(news)
            self.publish(*news)
