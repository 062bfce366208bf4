"""The public parts of a service: definitions of consumers, further parts, readiness checks."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from warren_messaging.amqp.names import require_routing_key
from warren_messaging.errors import ConfigurationError
from warren_messaging.events import EventData
from warren_messaging.handlers import Handlers
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.transaction import Connection, Transaction

ReadinessCheck = Callable[[], Awaitable[None]]
"""Returns when its part works; raises MessagingError with the reason otherwise."""


class Part(Protocol):
    """Work that runs from the start of a service until it drains, such as a consumer or an HTTP server."""

    async def run(self) -> None:
        """Run until `stop` was called and the work in progress is finished."""

    def stop(self) -> None:
        """Take no further work."""


class ConsumerDefinition(msgspec.Struct, frozen=True):
    """A queue with its handlers and its settings, as `Service.consume` was called."""

    queue: str
    handlers: Handlers[Any]
    transaction: Callable[[Connection], Transaction]
    prefetch: int
    batch: int
    concurrency: int
    tolerant: bool
    retry: RetryPolicy

    @property
    def types(self) -> tuple[str, ...]:
        """The event types with a handler: the routing keys to bind the queue to. A handler of EventData adds none."""
        return tuple(data.TYPE for data in self.handlers if data is not EventData)


def require_event_class(service: str, data: object) -> None:
    """Raise ConfigurationError unless `data` is a class with a TYPE that a broker accepts as a routing key."""
    kind = getattr(data, "TYPE", None)
    if not isinstance(kind, str):
        raise ConfigurationError(
            f"service {service}: {data!r} is not an event: it has no TYPE. An event is a subclass of EventData with a"
            " TYPE such as 'order.placed'"
        )
    require_routing_key(kind)
