"""Nobody writes an object before it is on the own record and on nobody else's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.errors import OwnershipConflict
from broker_topology.findings import Finding
from broker_topology.planning.state import Key, ObjectId, ObjectKind
from broker_topology.resource.model import LoadedTopology

SECTIONS = {
    ObjectKind.EXCHANGE: "exchanges",
    ObjectKind.QUEUE: "queues",
    ObjectKind.USER: "users",
    ObjectKind.POLICY: "policies",
    ObjectKind.OPERATOR_POLICY: "operatorPolicies",
}
OF_USERS = frozenset({ObjectKind.USER_LIMIT, ObjectKind.PERMISSION, ObjectKind.TOPIC_PERMISSION})
ATTEMPTS = 4
PAUSE_SECONDS = 0.5


def check(
    topologies: Sequence[LoadedTopology],
    owner: str,
    claims: frozenset[ObjectId],
    records: Mapping[str, OwnerRecord],
    peers: Sequence[LoadedTopology] = (),
) -> None:
    """Raises `OwnershipConflict` when another owner's record names something of `claims`."""
    if found := list(_conflicts(topologies, owner, claims, records, _shared(topologies, peers))):
        raise OwnershipConflict(found)


async def acquire_claims(
    api: ManagementApi,
    topologies: Sequence[LoadedTopology],
    former: OwnerRecord | None,
    record: OwnerRecord,
    peers: Sequence[LoadedTopology],
) -> None:
    """Writes the record, then looks whether somebody did the same at the same time.

    Whoever sees the other withdraws, waits a random time and tries again: two can both withdraw, never both go on.
    Raises `OwnershipConflict`.
    """
    for attempt in range(ATTEMPTS):
        await ownership.write(api, record)
        try:
            check(topologies, record.owner, record.claims, await ownership.records(api), peers)
        except OwnershipConflict:
            await (ownership.write(api, former) if former is not None else ownership.remove(api, record.owner))
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))  # noqa: S311 - only spreads
        check(topologies, record.owner, record.claims, await ownership.records(api), peers)


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
        both = sorted(claims & other.claims, key=lambda each: (each[0].value, each[1]))
        users = {identity.name[0] for kind, identity in both if kind is ObjectKind.USER}
        for kind, identity in both:
            name = identity.name[0]
            if kind is ObjectKind.VHOST and len(identity.name) == 1:  # a virtual host has many users
                continue
            if (kind in OF_USERS and name in users) or (
                kind in {ObjectKind.USER, ObjectKind.USER_LIMIT} and name in shared
            ):
                continue
            item = _declaring(topologies, kind, identity)
            cure = "name it in one place only" if owner else f"only that owner may change it: --owner {other.owner}"
            yield Finding(
                item.origin,
                _path(kind, identity),
                f"{kind.value} {identity} belongs to {other.owner} already; {cure}",
            )


def _shared(topologies: Sequence[LoadedTopology], peers: Sequence[LoadedTopology]) -> frozenset[str]:
    """Users that somebody in another virtual host describes in the same way, with the same Secret."""
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


def _without_rights(user: msgspec.Struct) -> dict[str, object]:
    fields = msgspec.structs.asdict(user)
    return {name: fields[name] for name in fields if name not in {"permissions", "topic_permissions"}}


def _declaring(topologies: Iterable[LoadedTopology], kind: ObjectKind, identity: Key) -> LoadedTopology:
    several = list(topologies)
    for item in several:
        if item.spec.vhost == identity.vhost:
            return item
        if kind in {ObjectKind.USER, *OF_USERS} and identity.name[0] in item.spec.users:
            return item
    return several[0]


def _path(kind: ObjectKind, identity: Key) -> str:
    if kind in SECTIONS:
        return f"spec.{SECTIONS[kind]}.{identity.name[0]}"
    if kind in OF_USERS:
        return f"spec.users.{identity.name[0]}"
    if kind is ObjectKind.BINDING:
        return "spec.bindings"
    return "spec.vhostLimits" if kind is ObjectKind.VHOST_LIMIT else "spec.vhostSettings"
