"""What is declared inside a virtual host: exchanges, queues, streams, bindings, policies."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from broker_topology.resource.bounds import Expression, Meta, Name, NotNegative, Seconds, SpecPart

ExchangeType = Literal["direct", "topic", "fanout", "headers", "x-local-random", "x-modulus-hash", "x-consistent-hash"]
QueueType = Literal["quorum", "stream", "classic"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]
DeadLetterStrategy = Literal["at-least-once", "at-most-once"]
ArgumentChange = Literal["Block", "Migrate"]
PolicyTarget = Literal[
    "all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"
]  # the broker's own words

MaxAge = Annotated[str, Meta(pattern=r"^[1-9][0-9]*[YMDhms]$", max_length=10)]
"""How long an entry of a stream is kept, such as `7D`."""
Partitions = Annotated[int, Meta(ge=1, le=1000)]


class Exchange(SpecPart, frozen=True, kw_only=True):
    type: ExchangeType
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: Name | None = None
    """Takes what no binding of this exchange takes. It also suppresses the return to a mandatory publisher."""
    arguments: dict[str, Any] = {}


class DeadLetter(SpecPart, frozen=True, kw_only=True):
    """Where rejected, expired and too often delivered messages go."""

    exchange: Name
    routing_key: Name | None = None
    """Without it a message keeps the key it was published with."""
    strategy: DeadLetterStrategy | None = None
    """Quorum queues default to at-least-once, which needs and sets `overflow: reject-publish`."""


class Retry(SpecPart, frozen=True, kw_only=True):
    """Delayed retry by the broker: a returned message waits `min` times its number of deliveries, at most `max`.

    Only `basic.reject` with requeue waits and counts; `basic.nack` comes back at once.
    """

    min_seconds: Seconds
    max_seconds: Seconds


class Queue(SpecPart, frozen=True, kw_only=True):
    type: QueueType = "quorum"
    durable: bool = True
    auto_delete: bool = False
    dead_letter: DeadLetter | None = None
    overflow: Overflow | None = None
    retry: Retry | None = None
    delivery_limit: Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)] | None = None
    """Deliveries before the message is dead-lettered; -1 for no limit. The broker's own default is 20."""
    message_ttl_seconds: Annotated[float, msgspec.Meta(ge=0, le=315_360_000)] | None = None
    max_length: NotNegative | None = None
    max_length_bytes: NotNegative | None = None
    max_age: MaxAge | None = None
    """Streams only."""
    consumer_timeout_seconds: Seconds | None = None
    """How long a consumer may hold a delivery before the broker takes it back."""
    single_active_consumer: bool = False
    arguments: dict[str, Any] = {}
    """Anything else, in the broker's words. Fields above are refused here."""
    argument_change: ArgumentChange = "Block"
    """What happens when the broker's queue has other arguments, which it cannot change: `Block` reports the exact
    difference, `Migrate` moves every message into a queue made anew."""


class SuperStream(SpecPart, frozen=True, kw_only=True):
    """A stream in partitions: one exchange of this name, and the streams `<name>-0`, `<name>-1`, ... bound to it.

    Partitions can be added later, never taken away while they hold anything.
    """

    partitions: Partitions
    routing_keys: Annotated[list[Name], Meta(max_length=1000)] = []
    """One for each partition; the default is their numbers, `0`, `1`, ..., which hashing clients need."""
    max_age: MaxAge | None = None
    max_length_bytes: NotNegative | None = None
    """For each partition."""
    arguments: dict[str, Any] = {}
    """Anything else for each partition, in the broker's words."""


class Binding(SpecPart, frozen=True, kw_only=True):
    """From an exchange to exactly one queue or one exchange."""

    source: Name
    queue: Name | None = None
    exchange: Name | None = None
    routing_key: Annotated[str, Meta(max_length=1024)] = ""
    """At most 255 bytes (see `validation`)."""
    arguments: dict[str, Any] = {}
    """Headers exchanges: the headers to match, and `x-match`."""


class Policy(SpecPart, frozen=True, kw_only=True):
    pattern: Expression
    apply_to: PolicyTarget = "all"
    priority: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] = 0
    definition: dict[str, Any]
