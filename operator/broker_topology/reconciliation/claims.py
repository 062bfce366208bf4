"""Claims: an object is written only after it is on the record of its owner, and on no other record."""

import asyncio
import random
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.errors import OwnershipConflict
from broker_topology.findings import Finding
from broker_topology.planning.state import USER_OBJECTS, Key, ObjectId, ObjectKind, by_kind_and_key
from broker_topology.resource.model import LoadedTopology
from broker_topology.resource.objects import User

MAX_ATTEMPTS = 4
PAUSE_SECONDS = 0.5
WITHOUT_NAME = frozenset({"vhostSettings", "vhostLimits", "bindings"})
"""Sections whose objects have no name in a path."""


class Claims:
    """The claims of one owner for its topologies. `peers` are the other resources for the same broker."""

    def __init__(self, topologies: Sequence[LoadedTopology], owner: str, peers: Sequence[LoadedTopology] = ()) -> None:
        self._topologies = topologies
        self._owner = owner
        self._shared = _shared_users(topologies, peers)

    def check(self, claims: frozenset[ObjectId], records: Mapping[str, OwnerRecord]) -> None:
        """Raises `OwnershipConflict` when another owner's record names an object of `claims`."""
        if found := list(self._conflicts(claims, records)):
            raise OwnershipConflict(found)

    async def acquire(self, api: ManagementApi, previous: OwnerRecord | None, record: OwnerRecord) -> None:
        """Writes the record, then checks whether another owner claimed the same objects at the same time.

        An owner that finds a conflict withdraws, waits for a random time and tries again: two owners may both withdraw,
        but never both proceed. Raises `OwnershipConflict`.
        """
        for attempt in range(MAX_ATTEMPTS):
            await ownership.write(api, record)
            try:
                self.check(record.claims, await ownership.records(api))
            except OwnershipConflict:
                await (ownership.write(api, previous) if previous is not None else ownership.remove(api, record.owner))
                if attempt == MAX_ATTEMPTS - 1:
                    raise
            else:
                return
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))  # noqa: S311 - only spreads
            self.check(record.claims, await ownership.records(api))

    def _conflicts(self, claims: frozenset[ObjectId], records: Mapping[str, OwnerRecord]) -> Iterator[Finding]:
        for other in sorted(records.values(), key=lambda record: record.owner):
            if other.owner == self._owner:
                continue
            both = sorted(claims & other.claims, key=by_kind_and_key)
            users = {key.name[0] for kind, key in both if kind is ObjectKind.USER}
            for kind, key in both:
                name = key.name[0]
                if kind is ObjectKind.VHOST and len(key.name) == 1:  # several owners may use a virtual host
                    continue
                if kind in USER_OBJECTS and name in users:  # reported with the user
                    continue
                if kind in {ObjectKind.USER, ObjectKind.USER_LIMIT} and name in self._shared:
                    continue
                change = f"only that owner may change it: --owner {other.owner}"
                hint = "declare it in one Topology only" if self._owner else change
                path = f"spec.{kind.section}" + ("" if kind.section in WITHOUT_NAME else f".{name}")
                message = f"{kind.value} {key} belongs to {other.owner} already; {hint}"
                yield Finding(self._declaring(kind, key).origin, path, message)

    def _declaring(self, kind: ObjectKind, key: Key) -> LoadedTopology:
        for item in self._topologies:
            if item.spec.vhost == key.vhost:
                return item
            if kind in {ObjectKind.USER, *USER_OBJECTS} and key.name[0] in item.spec.users:
                return item
        return self._topologies[0]


def _shared_users(topologies: Sequence[LoadedTopology], peers: Sequence[LoadedTopology]) -> frozenset[str]:
    """Returns users that a peer of another virtual host describes in the same way, with the same Secret."""
    return frozenset(
        name
        for item in topologies
        for name, user in item.spec.users.items()
        for other in peers
        if other.spec.vhost != item.spec.vhost
        and other.topology.metadata.namespace == item.topology.metadata.namespace
        and (same := other.spec.users.get(name)) is not None
        and _without_permissions(same) == _without_permissions(user)
    )


def _without_permissions(user: User) -> User:
    default = User()
    return msgspec.structs.replace(user, permissions=default.permissions, topic_permissions=default.topic_permissions)
