"""The arguments of queues that RabbitMQ 4.3 knows: the spec field of each, and the queue types that accept it.

One table drives the translation of a spec into arguments, the translation back by `export`, and the checks of both.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from broker_topology.resource.objects import Queue

QUORUM, STREAM, CLASSIC = QUEUE_TYPES = ("quorum", "stream", "classic")


class QueueArgument(NamedTuple):
    """One argument of the broker. `factor` is the number of the argument's units in one unit of the field."""

    name: str
    types: tuple[str, ...]
    field: str = ""
    """Dotted path in the spec of a queue; empty for an argument without a field."""
    factor: int = 1

    def to_field(self, value: Any) -> Any:
        """Returns the value of the field; a value of another type stays as it is."""
        if self.factor == 1 or not isinstance(value, int):
            return value
        return value // self.factor if value % self.factor == 0 else value / self.factor

    def from_field(self, value: Any) -> Any:
        return value if self.factor == 1 else round(value * self.factor)


_ALL, _NO_STREAM = QUEUE_TYPES, (QUORUM, CLASSIC)
TYPE = QueueArgument("x-queue-type", _ALL, "type")
RETRY_TYPE = QueueArgument("x-delayed-retry-type", (QUORUM,), "retry")
STRATEGY = QueueArgument("x-dead-letter-strategy", (QUORUM,), "deadLetter.strategy")
OVERFLOW = QueueArgument("x-overflow", _NO_STREAM, "overflow")
ARGUMENTS = (
    TYPE,
    QueueArgument("x-dead-letter-exchange", _NO_STREAM, "deadLetter.exchange"),
    QueueArgument("x-dead-letter-routing-key", _NO_STREAM, "deadLetter.routingKey"),
    STRATEGY,
    OVERFLOW,
    RETRY_TYPE,
    QueueArgument("x-delayed-retry-min", (QUORUM,), "retry.minSeconds", 1000),
    QueueArgument("x-delayed-retry-max", (QUORUM,), "retry.maxSeconds", 1000),
    QueueArgument("x-delivery-limit", (QUORUM,), "deliveryLimit"),
    QueueArgument("x-message-ttl", _NO_STREAM, "messageTtlSeconds", 1000),
    QueueArgument("x-max-length", _NO_STREAM, "maxLength"),
    QueueArgument("x-max-length-bytes", _ALL, "maxLengthBytes"),
    QueueArgument("x-max-age", (STREAM,), "maxAge"),
    QueueArgument("x-consumer-timeout", (QUORUM,), "consumerTimeoutSeconds", 1000),
    QueueArgument("x-single-active-consumer", _NO_STREAM, "singleActiveConsumer"),
    QueueArgument("x-consumer-disconnected-timeout", (QUORUM,)),
    QueueArgument("x-expires", _NO_STREAM),
    QueueArgument("x-initial-cluster-size", (STREAM,)),
    QueueArgument("x-max-priority", (CLASSIC,)),
    QueueArgument("x-queue-leader-locator", _ALL),
    QueueArgument("x-quorum-initial-group-size", (QUORUM,)),
    QueueArgument("x-stream-filter-size-bytes", (STREAM,)),
    QueueArgument("x-stream-max-segment-size-bytes", (STREAM,)),
)
"""The arguments that RabbitMQ 4.3.6 reports among its capabilities, except those that it accepts and ignores."""

IGNORED = {
    QUORUM: frozenset({"x-max-in-memory-bytes", "x-max-in-memory-length"}),
    STREAM: frozenset[str](),
    CLASSIC: frozenset({"x-queue-mode", "x-queue-version"}),
}
"""Arguments of former versions that 4.3.6 accepts without any effect."""

KNOWN = {kind: frozenset(each.name for each in ARGUMENTS if kind in each.types) for kind in QUEUE_TYPES}
EVERY = frozenset().union(*KNOWN.values(), *IGNORED.values(), {"x-queue-master-locator"})
"""The broker refuses a queue with one of these that its type does not accept."""
FIELDS = {each.name: each.field for each in ARGUMENTS if each.field}


def queue_arguments(queue: Queue) -> dict[str, Any]:
    """Returns all arguments of the declaration, with this engine's defaults. `rules` refuses duplicates of fields.

    A quorum queue dead-letters at least once, which needs `reject-publish`, unless the spec says otherwise.
    """
    spec = msgspec.to_builtins(queue)
    if queue.dead_letter is not None:
        quorum = queue.type == QUORUM
        spec["deadLetter"]["strategy"] = (queue.dead_letter.strategy or "at-least-once") if quorum else None
        if quorum and spec["deadLetter"]["strategy"] == "at-least-once":
            spec["overflow"] = queue.overflow or "reject-publish"
    arguments = {
        each.name: each.from_field(value)
        for each in ARGUMENTS
        if each.field and (value := _value(spec, each.field.split("."))) is not None and value is not False
    }
    if queue.retry is not None:
        arguments[RETRY_TYPE.name] = "failed"
    return arguments | queue.arguments


def _value(spec: Any, path: Iterable[str]) -> Any:
    for name in path:
        spec = spec.get(name) if spec is not None else None
    return spec
