"""Broker objects in one form, whether a Topology declares them or the broker reports them.

Every object has a `Key` (its key) and a body (the fields that can differ). Equal objects have equal bodies: `plan`
compares dictionaries.
"""

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any, Self

import msgspec

Body = Mapping[str, Any]
LEADERLESS = "leaderless"
"""Field in the body of an observed quorum queue that never elected a leader: such a queue holds no message."""


class ObjectKind(Enum):
    """The kinds of broker objects. The value is the name that users see."""

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
        """The path segment in the management API, such as `operator-policies`."""
        name = self.value.replace(" ", "-")
        return name.removesuffix("y") + ("ies" if name.endswith("y") else "s")

    @property
    def section(self) -> str:
        """The field of a Topology's `spec` that declares objects of this kind, such as `operatorPolicies`."""
        if self in {ObjectKind.VHOST, *USER_OBJECTS}:
            return "vhostSettings" if self is ObjectKind.VHOST else "users"
        first, *rest = self.collection.split("-")
        return first + "".join(map(str.capitalize, rest))

    def body_of(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the body of an object of this kind from its entry in a list of the management API."""
        return {field: entry[field] for field in _FIELDS[self]}


USER_OBJECTS = frozenset({ObjectKind.USER_LIMIT, ObjectKind.TOPIC_PERMISSION, ObjectKind.PERMISSION})
"""Kinds that restrict or permit a user. The first part of their key is the user's name."""
POLICIES = (ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY)
_FIELDS = {
    ObjectKind.USER: ("tags", "password_hash", "hashing_algorithm"),
    ObjectKind.EXCHANGE: ("type", "durable", "auto_delete", "internal", "arguments"),
    ObjectKind.QUEUE: ("durable", "auto_delete", "arguments"),
    ObjectKind.TOPIC_PERMISSION: ("write", "read"),
    ObjectKind.PERMISSION: ("configure", "write", "read"),
} | dict.fromkeys(POLICIES, ("pattern", "apply-to", "priority", "definition"))


class Key(msgspec.Struct, frozen=True, order=True):
    """The identity of an object within its kind. `vhost` is empty for virtual hosts, users and limits."""

    vhost: str
    name: tuple[str, ...]
    """One part for most kinds. A topic permission has two: user, exchange. A binding has five: source, target kind,
    target, routing key, arguments."""

    @classmethod
    def of(cls, name: str, vhost: str = "") -> Self:
        return cls(vhost, (name,))

    @classmethod
    def of_binding(cls, vhost: str, source: str, target: tuple[str, str], routing_key: str, arguments: Body) -> Self:
        """Returns the key of a binding, which has no name. `target` is a pair: `queue` or `exchange`, and the name."""
        canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":")) if arguments else ""
        return cls(vhost, (source, *target, routing_key, canonical))

    def __str__(self) -> str:
        return " ".join(part for part in self.name if part)


ObjectId = tuple[ObjectKind, Key]
BrokerState = dict[ObjectKind, dict[Key, Body]]


def empty_state() -> BrokerState:
    return {kind: {} for kind in ObjectKind}


def display_name(kind: ObjectKind, key: Key) -> str:
    """Returns the object's name without its kind. A binding is `source --routing key arguments--> target`."""
    if kind is not ObjectKind.BINDING:
        return str(key)
    source, _, target, *labels = key.name
    label = " ".join(filter(None, labels))
    return f"{source} --{label}--> {target}" if label else f"{source} --> {target}"


def by_kind_and_key(item: ObjectId) -> tuple[str, Key]:
    """Returns a sort key for messages and status lists: alphabetical by kind, then by key."""
    return item[0].value, item[1]


def with_defaults(arguments: Body) -> dict[str, Any]:
    """Adds the dead-letter strategy that the broker assumes when a quorum queue states none.

    So a queue that states the default and one that omits it have equal arguments.
    """
    if arguments.get("x-queue-type") == "quorum" and "x-dead-letter-exchange" in arguments:
        return {"x-dead-letter-strategy": "at-most-once", **arguments}
    return dict(arguments)
