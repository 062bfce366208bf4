"""The objects of a broker, in one form for the wanted and the observed state.

Every object has a `Key` (its identity) and a body (the fields that can differ). Bodies are normalized, so `plan`
compares dictionaries.
"""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

Body = Mapping[str, Any]
LEADERLESS = "leaderless"
"""Marks the body of an observed quorum queue that never elected a leader, so it cannot hold a message."""


class ObjectKind(Enum):
    """Every kind of object; the value is its name for users."""

    VHOST = "vhost"
    VHOST_LIMIT = "vhost limit"
    USER = "user"
    USER_LIMIT = "user limit"
    EXCHANGE = "exchange"
    POLICY = "policy"
    OPERATOR_POLICY = "operator policy"
    QUEUE = "queue"
    BINDING = "binding"
    TOPIC_PERMISSION = "topic permission"
    PERMISSION = "permission"

    @property
    def collection(self) -> str:
        """The collection in the management API, such as `operator-policies`."""
        name = self.value.replace(" ", "-")
        return name.removesuffix("y") + ("ies" if name.endswith("y") else "s")

    @property
    def section(self) -> str:
        """The section of the spec, such as `operatorPolicies`."""
        if self in {ObjectKind.VHOST, *USER_RIGHTS}:
            return "vhostSettings" if self is ObjectKind.VHOST else "users"
        first, *rest = self.collection.split("-")
        return first + "".join(map(str.capitalize, rest))

    def body_of(self, listed: Mapping[str, Any]) -> dict[str, Any]:
        """The body of an object of this kind, from its entry in a listing of the management API."""
        return {field: listed[field] for field in _FIELDS[self]}


USER_RIGHTS = frozenset({ObjectKind.USER_LIMIT, ObjectKind.TOPIC_PERMISSION, ObjectKind.PERMISSION})
"""The kinds whose key begins with a user's name."""
POLICIES = (ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY)
_FIELDS = {
    ObjectKind.USER: ("tags", "password_hash", "hashing_algorithm"),
    ObjectKind.EXCHANGE: ("type", "durable", "auto_delete", "internal", "arguments"),
    ObjectKind.QUEUE: ("durable", "auto_delete", "arguments"),
    ObjectKind.TOPIC_PERMISSION: ("write", "read"),
    ObjectKind.PERMISSION: ("configure", "write", "read"),
} | dict.fromkeys(POLICIES, ("pattern", "apply-to", "priority", "definition"))


class Key(msgspec.Struct, frozen=True, order=True):
    """The identity of one object. `vhost` is empty for objects of the whole broker."""

    vhost: str
    name: tuple[str, ...]
    """One part, or several: user and exchange of a topic permission; source, target kind, target, routing key and
    arguments of a binding."""

    def __str__(self) -> str:
        return " ".join(part for part in self.name if part)


ObjectId = tuple[ObjectKind, Key]
BrokerState = dict[ObjectKind, dict[Key, Body]]


def empty() -> BrokerState:
    return {kind: {} for kind in ObjectKind}


def key(name: str, vhost: str = "") -> Key:
    return Key(vhost, (name,))


def binding_key(vhost: str, source: str, target: tuple[str, str], routing_key: str, arguments: Body) -> Key:
    """A binding has no name: all its parts are its identity. `target` is (queue or exchange, name)."""
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":")) if arguments else ""
    return Key(vhost, (source, *target, routing_key, canonical))


def display_name(kind: ObjectKind, identity: Key) -> str:
    """The name without the kind; of a binding `source --routing key arguments--> target`."""
    if kind is not ObjectKind.BINDING:
        return str(identity)
    source, _, target, *labels = identity.name
    label = " ".join(filter(None, labels))
    return f"{source} --{label}--> {target}" if label else f"{source} --> {target}"


def by_label(each: ObjectId) -> tuple[str, Key]:
    """Sort key: kinds by their label, then by identity."""
    return each[0].value, each[1]


def with_defaults(arguments: Body) -> dict[str, Any]:
    """The arguments of a queue with the default that the broker applies: both forms compare as equal."""
    if arguments.get("x-queue-type") == "quorum" and "x-dead-letter-exchange" in arguments:
        return {"x-dead-letter-strategy": "at-most-once", **arguments}
    return dict(arguments)
