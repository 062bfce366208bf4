"""What a migration is told, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.planning.plan import Plan
from broker_topology.planning.state import BrokerState, Key, ObjectId, ObjectKind
from broker_topology.resource.model import LoadedTopology

MIGRATION_NOTE = "migration"
"""The topic in `Record.notes` under which a migration keeps where it is."""


class MigrationContext(msgspec.Struct, frozen=True):
    """One owner's resource at one moment, before anything is written."""

    resource: LoadedTopology
    owner: str
    record: OwnerRecord
    wanted: BrokerState
    observed: BrokerState
    plan: Plan
    api: ManagementApi
    asked: frozenset[Key] = frozenset()
    """The queues of `argumentChange: Migrate`."""


class HeldObject(msgspec.Struct, frozen=True):
    """An object in somebody else's hands during this run: neither made nor changed nor removed."""

    kind: ObjectKind
    key: Key
    message: str
    blocked: bool = False
    """Nothing goes on until somebody changes something; the message says what."""

    @property
    def object(self) -> ObjectId:
        return self.kind, self.key


RunMigrations = Callable[[MigrationContext], Awaitable[Sequence[HeldObject]]]
"""Does the next part of a migration. It may write at the broker, its own note in the record included."""
