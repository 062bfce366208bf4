"""Records of owners, stored at the broker itself.

One global parameter for each owner lists the objects that it claims. An object is added before it is created and
removed after it is deleted, so every object of an owner is on its record after an interruption. A broker that is
restored from definitions gets the records back.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.errors import RequestFailed
from broker_topology.planning.state import BrokerState, Key, ObjectId, ObjectKind, by_kind_and_key

PREFIX = "broker_topology."
VERSION = 1
FINGERPRINT_DIGITS = 8

DECLARING = "declaring"
"""Topic of the note about queues whose declaration has begun. After an interrupted run it is still there."""


class OwnerRecord(msgspec.Struct, frozen=True):
    """The claims of one owner at one broker."""

    owner: str
    claims: frozenset[ObjectId] = frozenset()
    created_vhosts: frozenset[str] = frozenset()
    """Virtual hosts that this package created. It deletes no others."""
    digest: str = ""
    """Digest of the last desired state that was written completely. While it is unchanged, a difference is drift."""
    passwords: Mapping[str, str] = {}
    """Fingerprint of each user's last written password hash. It distinguishes a new Secret from a changed user."""
    notes: Mapping[str, Any] = {}
    """Other data that must survive a restart, by topic. No passwords: users that can list policies can read it."""

    @property
    def queues_being_declared(self) -> frozenset[Key]:
        """Queues whose declaration has begun and was possibly interrupted."""
        return frozenset(Key(vhost, (name,)) for vhost, name in self.notes.get(DECLARING, ()))

    @property
    def vhosts(self) -> set[str]:
        """The virtual hosts that hold a claimed object."""
        return {each.vhost or each.name[0] for kind, each in self.claims if each.vhost or kind is ObjectKind.VHOST}


def with_declaring_note(notes: Mapping[str, Any], queues: Iterable[Key]) -> dict[str, Any]:
    """Returns the notes with these queues under `DECLARING`; without queues the topic is removed."""
    listed = sorted([each.vhost, *each.name] for each in queues)
    others = {topic: note for topic, note in notes.items() if topic != DECLARING}
    return others | ({DECLARING: listed} if listed else {})


async def records(api: ManagementApi) -> dict[str, OwnerRecord]:
    """Returns the record of every owner. Raises `RequestFailed` for a record of a newer version of this package."""
    listed = await api.get(path("global-parameters"))
    found = [_decoded(each["value"], api.url) for each in listed if str(each["name"]).startswith(PREFIX)]
    return {record.owner: record for record in found}


async def write(api: ManagementApi, record: OwnerRecord) -> None:
    await api.put(path("global-parameters", PREFIX + record.owner), {"value": _encoded(record)})


async def remove(api: ManagementApi, owner: str) -> None:
    """Succeeds also without a record."""
    await api.delete(path("global-parameters", PREFIX + owner))


def claims_of(desired: BrokerState) -> frozenset[ObjectId]:
    """Returns the claims of a desired state. Several owners may claim a virtual host, one its settings."""
    vhosts = desired[ObjectKind.VHOST].items()
    settings = {(ObjectKind.VHOST, Key("", (*each.name, "settings"))) for each, body in vhosts if body}
    return frozenset((kind, key) for kind in ObjectKind for key in desired[kind]) | settings


def digest(desired: BrokerState) -> str:
    """Returns a digest that is equal for equal desired states, in whatever order they were written."""
    lines = sorted(
        json.dumps([kind.value, key.vhost, *key.name, dict(body)], sort_keys=True)
        for kind in ObjectKind
        for key, body in desired[kind].items()
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def fingerprint(password_hash: str) -> str:
    """Returns 32 bits of a hash with 32 bits of salt: they identify the hash, and reveal nothing about the password."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:FINGERPRINT_DIGITS]


def _encoded(record: OwnerRecord) -> dict[str, Any]:
    objects: dict[str, list[list[str]]] = {}
    for kind, key in sorted(record.claims, key=by_kind_and_key):
        objects.setdefault(kind.value, []).append([key.vhost, *key.name])
    return {
        "version": VERSION,
        "owner": record.owner,
        "objects": objects,
        "made": sorted(record.created_vhosts),
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
    claims = frozenset(
        (ObjectKind(kind), Key(vhost, tuple(name))) for kind, keys in value["objects"].items() for vhost, *name in keys
    )
    return OwnerRecord(
        value["owner"], claims, frozenset(value["made"]), value["digest"], value["passwords"], value["notes"]
    )
