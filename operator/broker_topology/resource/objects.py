"""The objects of a virtual host as the resource describes them: exchanges, queues, bindings, policies, users."""

from typing import Annotated, Any, Literal

from broker_topology.resource.fields import NOTHING, Expression, Meta, Name, NotNegative, Seconds, SpecPart, Tags

ExchangeType = Literal["direct", "topic", "fanout", "headers", "x-local-random", "x-modulus-hash", "x-consistent-hash"]
QueueType = Literal["quorum", "stream", "classic"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]
DeadLetterStrategy = Literal["at-least-once", "at-most-once"]
ArgumentChange = Literal["Block", "Migrate"]
PolicyTarget = Literal["all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"]  # RabbitMQ's names
CredentialSource = Literal["Generate", "Import"]

MaxAge = Annotated[str, Meta(pattern=r"^[1-9][0-9]*[YMDhms]$", max_length=10)]
"""How long a stream keeps an entry, such as `7D`."""
Partitions = Annotated[int, Meta(ge=1, le=1000)]


class Exchange(SpecPart, frozen=True, kw_only=True):
    type: ExchangeType
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: Name | None = None
    """Receives the messages that no binding of this exchange matches. It also suppresses the return to a mandatory
    publisher."""
    arguments: dict[str, Any] = {}


class DeadLetter(SpecPart, frozen=True, kw_only=True):
    """The destination of rejected, expired and too often delivered messages."""

    exchange: Name
    routing_key: Name | None = None
    """The default is the key that the message was published with."""
    strategy: DeadLetterStrategy | None = None
    """Quorum queues default to at-least-once, which needs and sets `overflow: reject-publish`."""


class Retry(SpecPart, frozen=True, kw_only=True):
    """Delayed retry by the broker: a returned message waits `min` times its number of deliveries, at most `max`.

    Only `basic.reject` with requeue waits and counts; `basic.nack` redelivers at once.
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
    delivery_limit: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    """Deliveries before the message is dead-lettered; -1 for no limit. The broker's own default is 20."""
    message_ttl_seconds: Annotated[float, Meta(ge=0, le=315_360_000)] | None = None
    max_length: NotNegative | None = None
    max_length_bytes: NotNegative | None = None
    max_age: MaxAge | None = None
    """Streams only."""
    consumer_timeout_seconds: Seconds | None = None
    """How long a consumer may hold a delivery before the broker requeues it."""
    single_active_consumer: bool = False
    arguments: dict[str, Any] = {}
    """Other arguments, with the broker's names. Arguments that have a field above are refused here."""
    argument_change: ArgumentChange = "Block"
    """If the queue exists with other arguments, which the broker cannot change: `Block` reports the exact difference,
    `Migrate` moves every message into a new queue of the same name."""


class SuperStream(SpecPart, frozen=True, kw_only=True):
    """A partitioned stream: one exchange of this name, and the streams `<name>-0`, `<name>-1`, ... bound to it.

    Partitions can be added later. One that holds messages is never removed.
    """

    partitions: Partitions
    routing_keys: Annotated[list[Name], Meta(max_length=1000)] = []
    """One for each partition; the default is their numbers, `0`, `1`, ..., which hashing clients need."""
    max_age: MaxAge | None = None
    max_length_bytes: NotNegative | None = None
    """Limit of each partition."""
    arguments: dict[str, Any] = {}
    """Other arguments of each partition, with the broker's names."""


class Binding(SpecPart, frozen=True, kw_only=True):
    """A binding from an exchange to one queue or one exchange."""

    source: Name
    queue: Name | None = None
    exchange: Name | None = None
    routing_key: Annotated[str, Meta(max_length=1024)] = ""
    """At most 255 bytes, which `rules` checks."""
    arguments: dict[str, Any] = {}
    """Headers exchanges: the headers to match, and `x-match`."""

    @property
    def target(self) -> tuple[str, str]:
        """(queue or exchange, name)."""
        return ("queue", self.queue) if self.queue is not None else ("exchange", self.exchange or "")


class Policy(SpecPart, frozen=True, kw_only=True):
    pattern: Expression
    apply_to: PolicyTarget = "all"
    priority: Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)] = 0
    definition: dict[str, Any]


class Permissions(SpecPart, frozen=True, kw_only=True):
    """Regular expressions over names; the default permits nothing."""

    configure: Expression = NOTHING
    write: Expression = NOTHING
    read: Expression = NOTHING


class TopicPermission(SpecPart, frozen=True, kw_only=True):
    """Regular expressions over routing keys of one topic exchange."""

    exchange: Name
    write: Expression = NOTHING
    read: Expression = NOTHING
    """Limits the keys that this user may bind with, not the messages that it consumes."""


class UserLimits(SpecPart, frozen=True, kw_only=True):
    max_connections: NotNegative | None = None
    max_channels: NotNegative | None = None


class Rotation(SpecPart, frozen=True, kw_only=True):
    """Replaces user and password periodically. Both are valid for a while, so that no connection is refused."""

    every_hours: Annotated[int, Meta(ge=1, le=87_600)]
    overlap_minutes: Annotated[int, Meta(ge=1, le=10_080)] = 10
    """How long the previous user stays. It must exceed the time that a changed Secret takes to reach every process:
    Kubernetes needs up to two minutes for a mounted one."""


class User(SpecPart, frozen=True, kw_only=True):
    """The map key is the user's name; with rotation, users are called `<name>.<generation>`."""

    secret_name: Annotated[str, Meta(max_length=253)] | None = None
    """The Secret with `username` and `password` (or `passwordHash`). Required, which `rules` checks."""
    credentials: CredentialSource = "Generate"
    """`Generate` makes a password where the Secret has none; `Import` waits until the Secret has one."""
    tags: Tags = []
    permissions: Permissions = Permissions()
    topic_permissions: Annotated[list[TopicPermission], Meta(max_length=200)] = []
    limits: UserLimits = UserLimits()
    rotation: Rotation | None = None
