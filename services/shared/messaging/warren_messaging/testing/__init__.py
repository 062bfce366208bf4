"""For tests of handlers: the library without a broker, and without a database where the handlers need none.

    rehearsal = Rehearsal(HANDLERS, Points)
    await rehearsal.deliver(event_of(OrderPaid(...)))
    assert rehearsal.announced == [...]

`InMemoryDatabase` stands in for PostgreSQL as far as the library itself uses it, `Rehearsal` for one queue with its
consumer, `InMemoryBroker` for the exchange between several. Everything else is the real library. The conformance
suite (tests/conformance) holds them to what the real servers do, and names what they cannot show.
"""

from warren_messaging.testing.broker import InMemoryBroker
from warren_messaging.testing.database import InMemoryDatabase, NeedsDatabase
from warren_messaging.testing.events import again, delivery_of, event_of
from warren_messaging.testing.rehearsal import Attempt, Parked, Rehearsal

__all__ = [
    "Attempt",
    "InMemoryBroker",
    "InMemoryDatabase",
    "NeedsDatabase",
    "Parked",
    "Rehearsal",
    "again",
    "delivery_of",
    "event_of",
]
