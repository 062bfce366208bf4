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
from broker_topology.planning.state import USER_RIGHTS, Key, ObjectId, ObjectKind, by_label
from broker_topology.resource.model import LoadedTopology
from broker_topology.resource.objects import User

MAX_ATTEMPTS = 4
PAUSE_SECONDS = 0.5
WITHOUT_NAME = frozenset({"vhostSettings", "vhostLimits", "bindings"})
"""Sections whose objects have no name in a path."""


def check_claims(
    topologies: Sequence[LoadedTopology],
    owner: str,
    claims: frozenset[ObjectId],
    records: Mapping[str, OwnerRecord],
    peers: Sequence[LoadedTopology] = (),
) -> None:
    """Raises `OwnershipConflict` when another owner's record names an object of `claims`."""
    if found := list(_conflicts(topologies, owner, claims, records, _shared_users(topologies, peers))):
        raise OwnershipConflict(found)


async def acquire_claims(
    api: ManagementApi,
    topologies: Sequence[LoadedTopology],
    former: OwnerRecord | None,
    record: OwnerRecord,
    peers: Sequence[LoadedTopology],
) -> None:
    """Writes the record, then checks whether another owner claimed the same objects at the same time.

    An owner that finds a conflict withdraws, waits for a random time and tries again: two owners may both withdraw, but
    never both proceed. Raises `OwnershipConflict`.
    """
    for attempt in range(MAX_ATTEMPTS):
        await ownership.write(api, record)
        try:
            check_claims(topologies, record.owner, record.claims, await ownership.records(api), peers)
        except OwnershipConflict:
            await (ownership.write(api, former) if former is not None else ownership.remove(api, record.owner))
            if attempt == MAX_ATTEMPTS - 1:
                raise
        else:
            return
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))  # noqa: S311 - only spreads
        check_claims(topologies, record.owner, record.claims, await ownership.records(api), peers)


def _conflicts(
    topologies: Sequence[LoadedTopology],
    owner: str,
    claims: frozenset[ObjectId],
    records: Mapping[str, OwnerRecord],
    shared: frozenset[str],
) -> Iterator[Finding]:
    for other in sorted(records.values(), key=lambda record: record.owner):
        if other.owner == owner:
            continue
        both = sorted(claims & other.claims, key=by_label)
        users = {identity.name[0] for kind, identity in both if kind is ObjectKind.USER}
        for kind, identity in both:
            name = identity.name[0]
            if kind is ObjectKind.VHOST and len(identity.name) == 1:  # several owners may use a virtual host
                continue
            if kind in USER_RIGHTS and name in users:  # reported with the user
                continue
            if kind in {ObjectKind.USER, ObjectKind.USER_LIMIT} and name in shared:
                continue
            hint = "name it in one place only" if owner else f"only that owner may change it: --owner {other.owner}"
            path = f"spec.{kind.section}" + ("" if kind.section in WITHOUT_NAME else f".{name}")
            message = f"{kind.value} {identity} belongs to {other.owner} already; {hint}"
            yield Finding(_declaring(topologies, kind, identity).origin, path, message)


def _shared_users(topologies: Sequence[LoadedTopology], peers: Sequence[LoadedTopology]) -> frozenset[str]:
    """Users that a peer of another virtual host describes in the same way, with the same Secret."""
    return frozenset(
        name
        for item in topologies
        for name, user in item.spec.users.items()
        for other in peers
        if other.spec.vhost != item.spec.vhost
        and other.topology.metadata.namespace == item.topology.metadata.namespace
        and (same := other.spec.users.get(name)) is not None
        and _without_rights(same) == _without_rights(user)
    )


def _without_rights(user: User) -> User:
    default = User()
    return msgspec.structs.replace(user, permissions=default.permissions, topic_permissions=default.topic_permissions)


def _declaring(topologies: Sequence[LoadedTopology], kind: ObjectKind, identity: Key) -> LoadedTopology:
    for item in topologies:
        if item.spec.vhost == identity.vhost:
            return item
        if kind in {ObjectKind.USER, *USER_RIGHTS} and identity.name[0] in item.spec.users:
            return item
    return topologies[0]
