"""What a migration is told, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.ownership import Record
from broker_topology.planning.plan import Plan
from broker_topology.planning.state import Key, Kind, Object, State
from broker_topology.resource.model import Loaded

MIGRATION_NOTE = "migration"
"""The topic in `Record.notes` under which a migration keeps where it is."""


class Situation(msgspec.Struct, frozen=True):
    """One owner's resource at one moment, before anything is written."""

    resource: Loaded
    owner: str
    record: Record
    wanted: State
    observed: State
    plan: Plan
    api: ManagementApi
    asked: frozenset[Key] = frozenset()
    """The queues of `argumentChange: Migrate`."""


class Held(msgspec.Struct, frozen=True):
    """An object in somebody else's hands during this run: neither made nor changed nor removed."""

    kind: Kind
    key: Key
    message: str
    blocked: bool = False
    """Nothing goes on until somebody changes something; the message says what."""

    @property
    def object(self) -> Object:
        return self.kind, self.key


Migrate = Callable[[Situation], Awaitable[Sequence[Held]]]
"""Does the next part of a migration. It may write at the broker, its own note in the record included."""
