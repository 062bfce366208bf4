"""The `Topology` resource: one resource describes the objects of one owner at the broker.

Names are map keys, so a name cannot appear twice and every finding has a readable path. The defaults are the safe
choice: quorum queues, at-least-once dead-lettering, users without rights, no deletion of an object that holds a
message. `rules` checks what the structure cannot express: references, permissions that match nothing, arguments that
the broker refuses.
"""

from typing import Annotated, Literal

import msgspec

from broker_topology.findings import Origin
from broker_topology.resource.fields import BrokerReference, Meta, Name, NotNegative, SpecPart, Tags, Text
from broker_topology.resource.objects import Binding, Exchange, Policy, Queue, QueueType, SuperStream, User

API_VERSION = "warren.dev/v1alpha1"
KIND = "Topology"

Mode = Literal["Enforce", "Plan"]
DeletionPolicy = Literal["Delete", "Retain"]
Prune = Literal["EmptyOnly", "Never"]

Policies = Annotated[dict[str, Policy], Meta(max_length=500)]


class VhostLimits(SpecPart, frozen=True, kw_only=True):
    max_connections: NotNegative | None = None
    max_queues: NotNegative | None = None


class VhostSettings(SpecPart, frozen=True, kw_only=True):
    """Omitted fields keep the broker's values. At most one resource of a virtual host may set these."""

    description: Text | None = None
    tags: Tags | None = None
    default_queue_type: QueueType | None = None
    """The type of a queue that is declared without one."""


class DeleteWithMessages(SpecPart, frozen=True, kw_only=True):
    """Objects that may be deleted although they hold messages."""

    queues: Annotated[list[Name], Meta(max_length=2000)] = []
    vhost: Name | None = None
    """The name of `vhost` again: it may be deleted with all its content when the resource is deleted."""


class Spec(SpecPart, frozen=True, kw_only=True):
    broker: BrokerReference | None = None
    """Required by the operator; the command line has options instead."""
    mode: Mode = "Enforce"
    """`Plan` only reports the difference."""
    deletion_policy: DeletionPolicy = "Delete"
    """`Delete` removes the objects with the resource, `Retain` keeps them."""
    prune: Prune = "EmptyOnly"
    """Objects that are no longer declared: `EmptyOnly` deletes them unless they hold messages, `Never` keeps them."""
    resync_seconds: Annotated[int, Meta(ge=5, le=86_400)] = 60
    """Interval between two comparisons with the broker. A change of the resource causes one at once."""
    strict: bool = False
    """Treat warnings as errors."""
    delete_with_messages: DeleteWithMessages = DeleteWithMessages()
    vhost: Name
    vhost_settings: VhostSettings = VhostSettings()
    vhost_limits: VhostLimits = VhostLimits()
    exchanges: Annotated[dict[str, Exchange], Meta(max_length=2000)] = {}
    queues: Annotated[dict[str, Queue], Meta(max_length=2000)] = {}
    super_streams: Annotated[dict[str, SuperStream], Meta(max_length=200)] = {}
    bindings: Annotated[list[Binding], Meta(max_length=5000)] = []
    users: Annotated[dict[str, User], Meta(max_length=1000)] = {}
    policies: Policies = {}
    operator_policies: Policies = {}


class Metadata(SpecPart, frozen=True, kw_only=True):
    name: str
    namespace: str | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Topology(SpecPart, frozen=True, kw_only=True):
    api_version: Literal["warren.dev/v1alpha1"]
    kind: Literal["Topology"]
    metadata: Metadata
    spec: Spec


class LoadedTopology(msgspec.Struct, frozen=True):
    """A resource with the place that it was read from, which every finding names."""

    origin: Origin
    topology: Topology

    @property
    def spec(self) -> Spec:
        return self.topology.spec

    @property
    def owner(self) -> str:
        """The name of the record of its objects at the broker: `<namespace>/<name>`, or `<name>`."""
        metadata = self.topology.metadata
        return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
