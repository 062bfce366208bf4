"""Who owns what, kept at the broker itself.

One global parameter for each owner lists the objects that this owner claims. It is written before an object is made
and shortened after one is gone, so whatever was interrupted, everything an owner made is on its list. A broker that is
lost takes its lists with it; one that is restored from definitions gets them back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.planning.state import Body, BrokerState, Key, ObjectId, ObjectKind

PREFIX = "broker_topology."
VERSION = 1
FINGERPRINT_DIGITS = 8

DECLARING = "declaring"
"""Topic of the note about queues whose declaration has begun. It is still there when a run was cut off."""


class OwnerRecord(msgspec.Struct, frozen=True):
    """What one owner has at one broker."""

    owner: str
    claims: frozenset[ObjectId] = frozenset()
    made: frozenset[str] = frozenset()
    """Virtual hosts that did not exist before a topology asked for them: only these are ever deleted."""
    digest: str = ""
    """Of the last state that was wanted and written completely. What differs while it is the same, is drift."""
    passwords: Mapping[str, str] = {}
    """A fingerprint of each user's password hash, as last written: tells a new Secret from a changed user."""
    notes: Mapping[str, Any] = {}
    """Anything else that must survive a restart, by topic. Never a password: who may see policies may see this."""

    @property
    def declaring(self) -> frozenset[Key]:
        """Queues whose declaration was begun, and perhaps cut off."""
        return frozenset(Key(vhost, (name,)) for vhost, name in self.notes.get(DECLARING, ()))


def declaring(notes: Mapping[str, Any], queues: Iterable[Key]) -> dict[str, Any]:
    """The notes with these queues as those that are being declared; without any the topic goes."""
    listed = sorted([each.vhost, *each.name] for each in queues)
    return {topic: note for topic, note in notes.items() if topic != DECLARING} | (
        {DECLARING: listed} if listed else {}
    )


async def records(api: ManagementApi) -> dict[str, OwnerRecord]:
    """Every owner's record. What another, newer version of this package wrote is an error."""
    listed = await api.get(path("global-parameters"))
    found = [_decoded(each["value"], api.url) for each in listed if str(each["name"]).startswith(PREFIX)]
    return {record.owner: record for record in found}


async def write(api: ManagementApi, record: OwnerRecord) -> None:
    await api.put(path("global-parameters", PREFIX + record.owner), {"value": _encoded(record)})


async def remove(api: ManagementApi, owner: str) -> None:
    """Succeeds as well when there is none."""
    await api.delete(path("global-parameters", PREFIX + owner))


def claims_of(wanted: BrokerState) -> frozenset[ObjectId]:
    """What a wanted state claims. A virtual host may be claimed by many, its settings by one."""
    settings = {
        (ObjectKind.VHOST, Key("", (*each.name, "settings"))) for each, body in wanted[ObjectKind.VHOST].items() if body
    }
    return frozenset((kind, identity) for kind in ObjectKind for identity in wanted[kind]) | settings


def digest(wanted: BrokerState) -> str:
    """The same for the same wanted state, whatever the order in which it was written."""
    lines = sorted(
        json.dumps([kind.value, identity.vhost, *identity.name, _plain(body)], sort_keys=True)
        for kind in ObjectKind
        for identity, body in wanted[kind].items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def fingerprint(password_hash: str) -> str:
    """32 bits of a hash that was salted with 32 bits: it recognises the hash, and fits to nearly any password."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:FINGERPRINT_DIGITS]


def _plain(body: Body) -> dict[str, Any]:
    return {name: body[name] for name in body}


def _encoded(record: OwnerRecord) -> dict[str, Any]:
    objects: dict[str, list[list[str]]] = {}
    for kind, identity in sorted(record.claims, key=lambda item: (item[0].value, item[1])):
        objects.setdefault(kind.value, []).append([identity.vhost, *identity.name])
    return {
        "version": VERSION,
        "owner": record.owner,
        "objects": objects,
        "made": sorted(record.made),
        "digest": record.digest,
        "passwords": dict(record.passwords),
        "notes": dict(record.notes),
    }


def _decoded(value: Mapping[str, Any], url: str) -> OwnerRecord:
    if value.get("version") != VERSION:
        raise RequestFailed(
            f"{url} holds a record of version {value.get('version')} for owner {value.get('owner')}; this is an older "
            "broker_topology, use the newer one",
            409,
        )
    return OwnerRecord(
        owner=value["owner"],
        claims=frozenset(_objects(value["objects"])),
        made=frozenset(value["made"]),
        digest=value["digest"],
        passwords=value["passwords"],
        notes=value["notes"],
    )


def _objects(listed: Mapping[str, list[list[str]]]) -> Iterable[ObjectId]:
    for kind, identities in listed.items():
        for vhost, *name in identities:
            yield ObjectKind(kind), Key(vhost, tuple(name))
