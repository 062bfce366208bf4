"""For tests of handlers: the library without a broker, and without a database where the handlers need none.

    harness = ConsumerHarness(HANDLERS, Points)
    await harness.deliver(event_of(OrderPaid(...)))
    assert harness.announced == [...]

`InMemoryDatabase` replaces PostgreSQL for the statements of the library, `ConsumerHarness` replaces one queue and its
consumer, `InMemoryBroker` replaces the exchange between several harnesses. Everything else is the real library. The
conformance suite (tests/conformance) compares them with the real servers.
"""

from warren_messaging.testing.broker import InMemoryBroker
from warren_messaging.testing.consumer_harness import Attempt, ConsumerHarness, ParkedDelivery, ScheduledMessage
from warren_messaging.testing.database import InMemoryDatabase, NeedsDatabase
from warren_messaging.testing.events import delivery_of, event_of, with_new_ids

__all__ = [
    "Attempt",
    "InMemoryBroker",
    "InMemoryDatabase",
    "NeedsDatabase",
    "ParkedDelivery",
    "ScheduledMessage",
    "ConsumerHarness",
    "with_new_ids",
    "delivery_of",
    "event_of",
]
