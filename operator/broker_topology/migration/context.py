"""The interface between a reconcile and the migration of queues."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.planning.plan import Plan
from broker_topology.planning.state import BrokerState, Key, ObjectId, ObjectKind
from broker_topology.resource.model import LoadedTopology

MIGRATION_NOTE = "migration"
"""The topic in `OwnerRecord.notes` under which the running migrations are recorded."""


class MigrationContext(msgspec.Struct, frozen=True):
    """One owner's resource at one moment, before anything is written."""

    resource: LoadedTopology
    owner: str
    record: OwnerRecord
    desired: BrokerState
    observed: BrokerState
    plan: Plan
    api: ManagementApi
    requested: frozenset[Key] = frozenset()
    """The queues with `argumentChange: Migrate`."""


class HeldObject(msgspec.Struct, frozen=True):
    """An object that a migration is working on: this run neither creates, changes nor deletes it."""

    kind: ObjectKind
    key: Key
    message: str
    blocked: bool = False
    """Whether the migration waits for a change by a user; the message says which."""

    @property
    def object(self) -> ObjectId:
        return self.kind, self.key


Migrate = Callable[[MigrationContext], Awaitable[Sequence[HeldObject]]]
"""Continues the migrations of a context. It may write at the broker, and its own note in the record."""
