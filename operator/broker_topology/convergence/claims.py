"""Nobody writes an object before it is on the own record and on nobody else's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.ownership import Record
from broker_topology.errors import Claimed
from broker_topology.findings import Finding
from broker_topology.planning.state import Key, Kind, Object
from broker_topology.resource.model import Loaded

SECTIONS = {
    Kind.EXCHANGE: "exchanges",
    Kind.QUEUE: "queues",
    Kind.USER: "users",
    Kind.POLICY: "policies",
    Kind.OPERATOR_POLICY: "operatorPolicies",
}
OF_USERS = frozenset({Kind.USER_LIMIT, Kind.PERMISSION, Kind.TOPIC_PERMISSION})
ATTEMPTS = 4
PAUSE_SECONDS = 0.5


def check(
    topologies: Sequence[Loaded],
    owner: str,
    claims: frozenset[Object],
    records: Mapping[str, Record],
    neighbours: Sequence[Loaded] = (),
) -> None:
    """Raises `Claimed` when another owner's record names something of `claims`."""
    if found := list(_conflicts(topologies, owner, claims, records, _shared(topologies, neighbours))):
        raise Claimed(found)


async def stake(
    api: ManagementApi,
    topologies: Sequence[Loaded],
    former: Record | None,
    record: Record,
    neighbours: Sequence[Loaded],
) -> None:
    """Writes the record, then looks whether somebody did the same at the same time.

    Whoever sees the other withdraws, waits a random time and tries again: two can both withdraw, never both go on.
    Raises `Claimed`.
    """
    for attempt in range(ATTEMPTS):
        await ownership.write(api, record)
        try:
            check(topologies, record.owner, record.claims, await ownership.records(api), neighbours)
        except Claimed:
            await (ownership.write(api, former) if former is not None else ownership.remove(api, record.owner))
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return
        await asyncio.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))  # noqa: S311 - only spreads
        check(topologies, record.owner, record.claims, await ownership.records(api), neighbours)


def _conflicts(
    topologies: Sequence[Loaded],
    owner: str,
    claims: frozenset[Object],
    records: Mapping[str, Record],
    shared: frozenset[str],
) -> Iterator[Finding]:
    for other in sorted(records.values(), key=lambda record: record.owner):
        if other.owner == owner:
            continue
        both = sorted(claims & other.claims, key=lambda each: (each[0].value, each[1]))
        users = {identity.name[0] for kind, identity in both if kind is Kind.USER}
        for kind, identity in both:
            name = identity.name[0]
            if kind is Kind.VHOST and len(identity.name) == 1:  # a virtual host has many users
                continue
            if (kind in OF_USERS and name in users) or (kind in {Kind.USER, Kind.USER_LIMIT} and name in shared):
                continue
            item = _declaring(topologies, kind, identity)
            cure = "name it in one place only" if owner else f"only that owner may change it: --owner {other.owner}"
            yield Finding(
                item.origin,
                _path(kind, identity),
                f"{kind.value} {identity} belongs to {other.owner} already; {cure}",
            )


def _shared(topologies: Sequence[Loaded], neighbours: Sequence[Loaded]) -> frozenset[str]:
    """Users that somebody in another virtual host describes in the same way, with the same Secret."""
    return frozenset(
        name
        for item in topologies
        for name, user in item.spec.users.items()
        for other in neighbours
        if other.spec.vhost != item.spec.vhost
        and other.topology.metadata.namespace == item.topology.metadata.namespace
        and (same := other.spec.users.get(name)) is not None
        and _without_rights(same) == _without_rights(user)
    )


def _without_rights(user: msgspec.Struct) -> dict[str, object]:
    fields = msgspec.structs.asdict(user)
    return {name: fields[name] for name in fields if name not in {"permissions", "topic_permissions"}}


def _declaring(topologies: Iterable[Loaded], kind: Kind, identity: Key) -> Loaded:
    several = list(topologies)
    for item in several:
        if item.spec.vhost == identity.vhost:
            return item
        if kind in {Kind.USER, *OF_USERS} and identity.name[0] in item.spec.users:
            return item
    return several[0]


def _path(kind: Kind, identity: Key) -> str:
    if kind in SECTIONS:
        return f"spec.{SECTIONS[kind]}.{identity.name[0]}"
    if kind in OF_USERS:
        return f"spec.users.{identity.name[0]}"
    if kind is Kind.BINDING:
        return "spec.bindings"
    return "spec.vhostLimits" if kind is Kind.VHOST_LIMIT else "spec.vhostSettings"
