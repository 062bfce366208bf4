"""What a broker holds, in one shape for both sides: what is wanted and what is there.

Every object is a `Key` (its identity) and a body (what may differ). Bodies are normalised, so two equal ones mean two
equal objects and `plan` is a comparison of dictionaries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

Body = Mapping[str, Any]
LEADERLESS = "leaderless"
"""In the body of an observed queue: it exists, but its declaration was cut off, and it can hold nothing."""


class ObjectKind(Enum):
    """Every kind of object. The value is the word people read."""

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


class Key(msgspec.Struct, frozen=True, order=True):
    """The identity of one object: `vhost` is empty for what belongs to the whole broker."""

    vhost: str
    name: tuple[str, ...]
    """One name, or several: user and exchange of a topic permission, all parts of a binding."""

    def __str__(self) -> str:
        return " ".join(part for part in self.name if part)


ObjectId = tuple[ObjectKind, Key]


BrokerState = dict[ObjectKind, dict[Key, Body]]
"""Every object by kind and key."""


def empty() -> BrokerState:
    return {kind: {} for kind in ObjectKind}


def key(name: str, vhost: str = "") -> Key:
    return Key(vhost, (name,))


def binding_key(vhost: str, source: str, target: tuple[str, str], routing_key: str, arguments: Body) -> Key:
    """A binding has no name and no body: all it is, is its identity. `target` is (queue or exchange, name)."""
    canonical = json.dumps(arguments, sort_keys=True, separators=(",", ":")) if arguments else ""
    return Key(vhost, (source, *target, routing_key, canonical))


def with_defaults(arguments: Body) -> dict[str, Any]:
    """Of a queue: also what is the same to the broker whether it is given or not."""
    if arguments.get("x-queue-type") == "quorum" and "x-dead-letter-exchange" in arguments:
        return {"x-dead-letter-strategy": "at-most-once", **arguments}
    return dict(arguments)
