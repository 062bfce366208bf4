"""Constraints that msgspec's types cannot express: CEL rules, merge strategies of lists, and required fields.

Each rule repeats one finding of the engine's validation, so that `kubectl apply` refuses the mistake. A rule looks at
one part of the spec only, so that its cost grows with the number of parts.
"""

from collections.abc import Mapping
from typing import Any

ANY_VALUE: Mapping[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
"""The schema of free-form arguments: any JSON."""

MAX_ARGUMENTS = 100
"""Limit of a free-form map, which has none in the model."""

IMMUTABLE_VHOST = "the virtual host cannot be changed: create another Topology for the new one, then delete this one"
IMMUTABLE_BROKER = (
    "the broker cannot be changed, because the objects of this resource would stay there: create another "
    "Topology for the new broker, then delete this one"
)


def _rule(rule: str, message: str, path: str = "", *, reason: str = "FieldValueInvalid") -> dict[str, str]:
    found = {"rule": rule, "message": message, "reason": reason}
    return found | {"fieldPath": path} if path else found


def _only(kind: str, field: str, message: str) -> dict[str, str]:
    return _rule(f"self.type == '{kind}' || !has(self.{field})", message, f".{field}")


RULES: Mapping[str, list[dict[str, str]]] = {
    "Spec": [
        _rule("self.vhost == oldSelf.vhost", IMMUTABLE_VHOST, ".vhost"),
        _rule("!has(oldSelf.broker) || (has(self.broker) && self.broker == oldSelf.broker)", IMMUTABLE_BROKER),
        _rule("size(self.vhost) > 0", "the name of the virtual host is empty", ".vhost"),
        _rule(
            "!has(self.deleteWithMessages) || !has(self.deleteWithMessages.vhost) || "
            "self.deleteWithMessages.vhost == self.vhost",
            "repeat the name in spec.vhost to allow its deletion together with its messages",
            ".deleteWithMessages.vhost",
        ),
    ],
    "BrokerReference": [
        _rule(
            "has(self.clusterRef) != has(self.secretRef)",
            "name exactly one of clusterRef (a RabbitmqCluster) and secretRef (a Secret with the address)",
        ),
    ],
    "Queue": [
        _rule(
            "self.type == 'classic' || self.durable",
            "quorum queues and streams are always durable: remove durable, or set it to true",
            ".durable",
        ),
        _rule(
            "self.type == 'classic' || !self.autoDelete",
            "quorum queues and streams cannot delete themselves: remove autoDelete, or use type classic",
            ".autoDelete",
        ),
        _rule(
            "!has(self.overflow) || self.overflow != 'reject-publish-dlx' || self.type == 'classic'",
            "only classic queues support reject-publish-dlx: use reject-publish",
            ".overflow",
        ),
        _only("quorum", "retry", "only quorum queues retry with a delay: remove retry, or use type quorum"),
        _only(
            "quorum", "deliveryLimit", "only quorum queues count deliveries: remove deliveryLimit, or use type quorum"
        ),
        _only("stream", "maxAge", "only streams keep entries by age: use messageTtlSeconds, or type stream"),
        _rule(
            "self.type != 'stream' || !(has(self.deadLetter) || has(self.overflow) || has(self.messageTtlSeconds) || "
            "has(self.maxLength) || has(self.consumerTimeoutSeconds) || self.singleActiveConsumer)",
            "a stream is an append-only log: it has no deadLetter, overflow, messageTtlSeconds, maxLength, "
            "consumerTimeoutSeconds or singleActiveConsumer; limit it with maxAge or maxLengthBytes",
        ),
        _rule(
            "self.type != 'quorum' || !has(self.deadLetter) || "
            "(has(self.deadLetter.strategy) && self.deadLetter.strategy == 'at-most-once') || "
            "!has(self.overflow) || self.overflow == 'reject-publish'",
            "at-least-once dead-lettering works with overflow reject-publish only: remove overflow, or set "
            "deadLetter.strategy to at-most-once",
            ".overflow",
        ),
        _rule(
            "self.type != 'classic' || !has(self.deadLetter) || !has(self.deadLetter.strategy) || "
            "self.deadLetter.strategy == 'at-most-once'",
            "dead-lettering at-least-once needs type quorum",
        ),
    ],
    "Retry": [
        _rule(
            "self.maxSeconds >= self.minSeconds",
            "maxSeconds is less than minSeconds: the delay grows from minSeconds up to maxSeconds",
            ".maxSeconds",
        ),
    ],
    "Binding": [
        _rule(
            "has(self.queue) != has(self.exchange)",
            "name exactly one target, queue or exchange; write two bindings for two targets",
        ),
        _rule("size(self.source) > 0", "the default exchange accepts no bindings: name another source", ".source"),
    ],
    "Rotation": [
        _rule(
            "self.overlapMinutes < self.everyHours * 60",
            "the overlap must end before the next rotation: make overlapMinutes shorter than everyHours",
            ".overlapMinutes",
        ),
    ],
}

REQUIRED: Mapping[str, list[str]] = {"User": ["secretName"], "Spec": ["broker"]}
"""Optional in the model, so that a file without them gets a finding among all others. Required by the API server."""

LIST_TYPES: Mapping[tuple[str, str], dict[str, Any]] = {
    ("DeleteWithMessages", "queues"): {"x-kubernetes-list-type": "set"},
    ("VhostSettings", "tags"): {"x-kubernetes-list-type": "set"},
    ("User", "tags"): {"x-kubernetes-list-type": "set"},
    ("User", "topicPermissions"): {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["exchange"]},
}
"""How server-side apply merges a list. All others are atomic. A list of objects without a key must not be a set: the
API server accepts such a definition and then refuses server-side apply, which Helm 4 uses."""
