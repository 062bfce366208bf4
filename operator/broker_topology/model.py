"""The `Topology` resource: what its author writes.

One resource describes what one owner has at the broker. Names are map keys, so that a name cannot appear twice and
every finding has a readable path. Defaults are the safe choice: quorum queues, at-least-once dead-lettering, users
that may do nothing. What the structure alone cannot express (references, permissions that reach nothing, arguments
the broker refuses) is checked in `validation`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from broker_topology.findings import Origin

API_VERSION = "warren.dev/v1alpha1"
KIND = "Topology"

ExchangeType = Literal["direct", "topic", "fanout", "headers", "x-local-random", "x-modulus-hash", "x-consistent-hash"]
QueueType = Literal["quorum", "stream", "classic"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]
DeadLetterStrategy = Literal["at-least-once", "at-most-once"]
PolicyTarget = Literal[
    "all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges"
]  # the broker's own words

Positive = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[int, msgspec.Meta(ge=0)]
NOTHING = "^$"
"""The permission that matches no name."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Base of every part of the resource: camelCase outside, unknown fields refused."""


class Exchange(Part, frozen=True, kw_only=True):
    type: ExchangeType
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    alternate_exchange: str | None = None
    """Takes what no binding of this exchange takes. It also suppresses the return to a mandatory publisher."""
    arguments: dict[str, Any] = {}


class DeadLetter(Part, frozen=True, kw_only=True):
    """Where rejected, expired and too often delivered messages go."""

    exchange: str
    routing_key: str | None = None
    """Without it a message keeps the key it was published with."""
    strategy: DeadLetterStrategy | None = None
    """Quorum queues default to at-least-once, which needs and sets `overflow: reject-publish`."""


class Retry(Part, frozen=True, kw_only=True):
    """Delayed retry by the broker: a returned message waits `min` times its number of deliveries, at most `max`.

    Only `basic.reject` with requeue waits and counts; `basic.nack` comes back at once.
    """

    min_seconds: Annotated[float, msgspec.Meta(gt=0)]
    max_seconds: Annotated[float, msgspec.Meta(gt=0)]


class Queue(Part, frozen=True, kw_only=True):
    type: QueueType = "quorum"
    durable: bool = True
    auto_delete: bool = False
    dead_letter: DeadLetter | None = None
    overflow: Overflow | None = None
    retry: Retry | None = None
    delivery_limit: Annotated[int, msgspec.Meta(ge=-1)] | None = None
    """Deliveries before the message is dead-lettered; -1 for no limit. The broker's own default is 20."""
    message_ttl_seconds: Annotated[float, msgspec.Meta(ge=0)] | None = None
    max_length: NotNegative | None = None
    max_length_bytes: NotNegative | None = None
    max_age: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]*[YMDhms]$")] | None = None
    """Streams only: how long an entry is kept, such as `7D`."""
    consumer_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """How long a consumer may hold a delivery before the broker takes it back."""
    single_active_consumer: bool = False
    arguments: dict[str, Any] = {}
    """Anything else, in the broker's words. Fields above are refused here."""


class Binding(Part, frozen=True, kw_only=True):
    """From an exchange to exactly one queue or one exchange."""

    source: str
    queue: str | None = None
    exchange: str | None = None
    routing_key: str = ""
    arguments: dict[str, Any] = {}
    """Headers exchanges: the headers to match, and `x-match`."""


class Permissions(Part, frozen=True, kw_only=True):
    """Regular expressions over names; the default permits nothing."""

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING


class TopicPermission(Part, frozen=True, kw_only=True):
    """Regular expressions over routing keys of one topic exchange."""

    exchange: str
    write: str = NOTHING
    read: str = NOTHING
    """Limits the keys this user may bind with, not what it consumes."""


class UserLimits(Part, frozen=True, kw_only=True):
    max_connections: NotNegative | None = None
    max_channels: NotNegative | None = None


class User(Part, frozen=True, kw_only=True):
    secret_name: str | None = None
    """Holds `username` and `password`. Generated when missing, imported when present. Required (see `validation`)."""
    tags: list[str] = []
    permissions: Permissions = Permissions()
    topic_permissions: list[TopicPermission] = []
    limits: UserLimits = UserLimits()


class Policy(Part, frozen=True, kw_only=True):
    pattern: str
    apply_to: PolicyTarget = "all"
    priority: int = 0
    definition: dict[str, Any]


class VhostLimits(Part, frozen=True, kw_only=True):
    max_connections: NotNegative | None = None
    max_queues: NotNegative | None = None


class Spec(Part, frozen=True, kw_only=True):
    vhost: str
    exchanges: dict[str, Exchange] = {}
    queues: dict[str, Queue] = {}
    bindings: list[Binding] = []
    users: dict[str, User] = {}
    policies: dict[str, Policy] = {}
    operator_policies: dict[str, Policy] = {}
    vhost_limits: VhostLimits = VhostLimits()


class Metadata(Part, frozen=True, kw_only=True):
    name: str
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Topology(Part, frozen=True, kw_only=True):
    api_version: Literal["warren.dev/v1alpha1"]
    kind: Literal["Topology"]
    metadata: Metadata
    spec: Spec


class Loaded(msgspec.Struct, frozen=True):
    """A resource together with the place it came from, so that every later finding can name it."""

    origin: Origin
    topology: Topology

    @property
    def spec(self) -> Spec:
        return self.topology.spec
