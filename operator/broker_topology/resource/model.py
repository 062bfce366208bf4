"""The `Topology` resource: what its author writes.

One resource describes what one owner has at the broker. Names are map keys, so that a name cannot appear twice and
every finding has a readable path. Defaults are the safe choice: quorum queues, at-least-once dead-lettering, users
that may do nothing, nothing deleted that holds a message. What the structure alone cannot express (references,
permissions that reach nothing, arguments the broker refuses) is checked in `validation`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from broker_topology.findings import Origin
from broker_topology.resource.access import Permissions, Rotation, TopicPermission, User, UserLimits
from broker_topology.resource.bounds import NOTHING, Meta, Name, NotNegative, SpecPart, Tags, Text
from broker_topology.resource.declared import (
    Binding,
    DeadLetter,
    Exchange,
    Policy,
    Queue,
    QueueType,
    Retry,
    SuperStream,
)
from broker_topology.resource.reference import BrokerReference, LocalReference, Reference

__all__ = [
    "API_VERSION", "KIND", "NOTHING",
    "Topology", "Metadata", "Spec", "LoadedTopology",
    "BrokerReference", "Reference", "LocalReference",
    "VhostSettings", "VhostLimits", "DeleteWithMessages", "Mode", "DeletionPolicy", "Prune",
    "Exchange", "Queue", "DeadLetter", "Retry", "SuperStream", "Binding", "Policy",
    "User", "UserLimits", "Permissions", "TopicPermission", "Rotation",
]  # fmt: skip

API_VERSION = "warren.dev/v1alpha1"
KIND = "Topology"

Mode = Literal["Enforce", "Plan"]
DeletionPolicy = Literal["Delete", "Retain"]
Prune = Literal["EmptyOnly", "Never"]

Exchanges = Annotated[dict[str, Exchange], Meta(max_length=2000)]
Queues = Annotated[dict[str, Queue], Meta(max_length=2000)]
SuperStreams = Annotated[dict[str, SuperStream], Meta(max_length=200)]
Bindings = Annotated[list[Binding], Meta(max_length=5000)]
Users = Annotated[dict[str, User], Meta(max_length=1000)]
Policies = Annotated[dict[str, Policy], Meta(max_length=500)]


class VhostLimits(SpecPart, frozen=True, kw_only=True):
    max_connections: NotNegative | None = None
    max_queues: NotNegative | None = None


class VhostSettings(SpecPart, frozen=True, kw_only=True):
    """What is left out stays as the broker has it. At most one resource of a virtual host may set these."""

    description: Text | None = None
    tags: Tags | None = None
    default_queue_type: QueueType | None = None
    """What a declaration without a type gets."""


class DeleteWithMessages(SpecPart, frozen=True, kw_only=True):
    """What may be deleted although it holds messages, each by its name."""

    queues: Annotated[list[Name], Meta(max_length=2000)] = []
    vhost: Name | None = None
    """The name of `vhost` once more, when it may go with everything in it once the resource is deleted."""


class Spec(SpecPart, frozen=True, kw_only=True):
    broker: BrokerReference | None = None
    """The operator needs it; the command line has options instead."""
    mode: Mode = "Enforce"
    """`Plan` only reports the difference."""
    deletion_policy: DeletionPolicy = "Delete"
    """What becomes of the objects when the resource is deleted."""
    prune: Prune = "EmptyOnly"
    """What becomes of objects that the resource no longer names: deleted unless they hold messages, or left alone."""
    resync_seconds: Annotated[int, Meta(ge=5, le=86_400)] = 60
    """How often the broker is compared, besides whenever something changes."""
    strict: bool = False
    """Whether warnings refuse the resource, too."""
    delete_with_messages: DeleteWithMessages = DeleteWithMessages()
    vhost: Name
    vhost_settings: VhostSettings = VhostSettings()
    vhost_limits: VhostLimits = VhostLimits()
    exchanges: Exchanges = {}
    queues: Queues = {}
    super_streams: SuperStreams = {}
    bindings: Bindings = []
    users: Users = {}
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
    """A resource together with the place it came from, so that every later finding can name it."""

    origin: Origin
    topology: Topology

    @property
    def spec(self) -> Spec:
        return self.topology.spec

    @property
    def owner(self) -> str:
        """The name under which its objects are recorded at the broker: `<namespace>/<name>`, or `<name>`."""
        metadata = self.topology.metadata
        return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
