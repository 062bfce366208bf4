"""The objects at the broker that a service needs, derived from its handlers."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from warren_messaging.events import EventData
from warren_messaging.sender import REDRIVE_EXCHANGE
from warren_messaging.service import Service
from warren_messaging.service_parts import ConsumerDefinition

RETRY_SECONDS = (1, 60)
"""Shortest and longest delay of a retry: 1 s, 2 s, 3 s, … 60 s."""
DELIVERY_LIMIT = 1000
"""Stops only messages that crash every consumer: RetryPolicy counts attempts and parks."""
UNROUTED_EXCHANGE, UNROUTED_QUEUE = "unrouted.exchange", "unrouted.queue"

Arguments = Mapping[str, Any]


class NeededExchange(msgspec.Struct, frozen=True):
    """A durable exchange."""

    name: str
    kind: str
    alternate: str | None = None
    """Receives the messages that no binding matches."""

    @property
    def arguments(self) -> Arguments:
        return {} if self.alternate is None else {"alternate-exchange": self.alternate}


class NeededQueue(msgspec.Struct, frozen=True):
    """A quorum queue. With `dead_letter`, an exchange and a routing key, it also delays retries and has a limit of
    deliveries; without, it is a parking lot and keeps its messages."""

    name: str
    dead_letter: tuple[str, str] | None = None

    @property
    def arguments(self) -> Arguments:
        """The arguments of the declaration, with the broker's names."""
        if self.dead_letter is None:
            # The broker's default limit of 20 would drop a message after 20 interrupted reads.
            return {"x-queue-type": "quorum", "x-delivery-limit": -1}
        exchange, key = self.dead_letter
        shortest, longest = RETRY_SECONDS
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": exchange,
            "x-dead-letter-routing-key": key,
            # A message is removed only when the parking lot has confirmed it. The strategy needs the overflow.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-delayed-retry-type": "failed",
            "x-delayed-retry-min": shortest * 1000,
            "x-delayed-retry-max": longest * 1000,
        }


class NeededBinding(msgspec.Struct, frozen=True):
    source: str
    queue: str
    routing_key: str = ""


class BrokerObjects(msgspec.Struct, frozen=True):
    """Exchanges, queues and bindings, each after those that it refers to."""

    exchanges: list[NeededExchange]
    queues: list[NeededQueue]
    bindings: list[NeededBinding]

    def __add__(self, other: "BrokerObjects") -> "BrokerObjects":
        return BrokerObjects(
            self.exchanges + other.exchanges, self.queues + other.queues, self.bindings + other.bindings
        )


class ServiceTopology(msgspec.Struct, frozen=True):
    """The objects of a service and its rights."""

    service: str
    user: str
    """The broker user that consumers accept as the sender of the service's events."""
    vhost: str
    exchange: str
    """The service announces its events here, and its queues are bound to it."""
    shared: BrokerObjects
    """The same for all services with this exchange."""
    own: BrokerObjects
    consumed: list[str]
    """The queues that the service consumes."""
    announced: list[str]
    """The event types that the service may announce."""

    @property
    def everything(self) -> BrokerObjects:
        return self.shared + self.own


def service_topology(service: Service, vhost: str) -> ServiceTopology:
    """Derive what `service` needs from its exchange, its queues, and the types that its handlers take.

    A service announces the types with its own name in front, and every other type that it has no handler for.
    """
    dead_letters = f"{service.exchange.removesuffix('.exchange')}.dlx"
    shared = BrokerObjects(
        [
            NeededExchange(UNROUTED_EXCHANGE, "fanout"),
            NeededExchange(service.exchange, "topic", alternate=UNROUTED_EXCHANGE),
            NeededExchange(dead_letters, "direct"),
            NeededExchange(REDRIVE_EXCHANGE, "direct"),
        ],
        [NeededQueue(UNROUTED_QUEUE)],
        [NeededBinding(UNROUTED_EXCHANGE, UNROUTED_QUEUE)],
    )
    own = BrokerObjects([], [], [])
    for consumer in service.consumers:
        queue = consumer.queue
        parking_lot = f"{queue.removesuffix('.queue')}.dlq"
        own.queues.extend([NeededQueue(parking_lot), NeededQueue(queue, dead_letter=(dead_letters, parking_lot))])
        own.bindings.append(NeededBinding(dead_letters, parking_lot, parking_lot))
        own.bindings.append(NeededBinding(REDRIVE_EXCHANGE, queue, queue))
        own.bindings.extend(NeededBinding(service.exchange, queue, key) for key in routing_keys(consumer))
    consumed_types = {
        data.TYPE for consumer in service.consumers for data in consumer.handlers if data is not EventData
    }
    user = service.source.rsplit("/", 1)[-1]
    return ServiceTopology(
        service=service.name,
        user=user,
        vhost=vhost,
        exchange=service.exchange,
        shared=shared,
        own=own,
        consumed=[consumer.queue for consumer in service.consumers],
        announced=sorted(
            name for name in service.catalogue if name.startswith(f"{user}.") or name not in consumed_types
        ),
    )


def routing_keys(consumer: ConsumerDefinition) -> list[str]:
    """The types that the consumer has handlers for; every type for a handler of EventData."""
    return ["#"] if EventData in consumer.handlers else sorted(consumer.types)


def vhost_of(url: str) -> str:
    """Return the virtual host of a broker address; without one it is the default, `/`."""
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"
