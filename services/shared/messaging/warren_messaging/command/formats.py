"""A service's topology as documents: `Topology` resources in YAML, or RabbitMQ's definitions in JSON."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from warren_messaging.command.service_topology import (
    DELIVERY_LIMIT,
    RETRY_SECONDS,
    BrokerObjects,
    NeededQueue,
    ServiceTopology,
)

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*")
_WORDS_OF_YAML = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def definitions(topology: ServiceTopology) -> str:
    """Return a file for `rabbitmqctl import_definitions`. It holds no users: a definition of one needs its password."""
    objects, vhost = topology.everything, topology.vhost
    document = {
        "vhosts": [{"name": vhost}],
        "exchanges": [
            {"vhost": vhost, "name": each.name, "type": each.kind, "arguments": each.arguments}
            | {"durable": True, "auto_delete": False, "internal": False}
            for each in objects.exchanges
        ],
        "queues": [
            {"vhost": vhost, "name": each.name, "durable": True, "auto_delete": False, "arguments": each.arguments}
            for each in objects.queues
        ],
        "bindings": [
            {"vhost": vhost, "source": each.source, "destination": each.queue, "destination_type": "queue"}
            | {"routing_key": each.routing_key, "arguments": {}}
            for each in objects.bindings
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def topology_resources(topology: ServiceTopology) -> str:
    """Return two `Topology` resources: the shared part, which is the same for every service with this exchange, and the
    service's own with its user and the user's rights."""
    shared = _resource(
        f"{topology.exchange.removesuffix('.exchange')}-shared", topology.vhost, _objects(topology.shared)
    )
    own = _resource(topology.service, topology.vhost, _objects(topology.own) | {"users": _users(topology)})
    return (
        f"# Shared by all services that use {topology.exchange}: keep it once.\n"
        + _yaml(shared)
        + f"---\n# The service {topology.service}.\n"
        + _yaml(own)
    )


def _resource(name: str, vhost: str, objects: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "warren.dev/v1alpha1",
        "kind": "Topology",
        # Kubernetes allows lower-case letters, digits, '-' and '.' in the name of a resource.
        "metadata": {"name": re.sub(r"[^a-z0-9.-]+", "-", name.lower()).strip("-.")},
        "spec": {"vhost": vhost, **{kind: content for kind, content in objects.items() if content}},
    }


def _objects(objects: BrokerObjects) -> dict[str, Any]:
    return {
        "exchanges": {
            each.name: {"type": each.kind} | ({"alternateExchange": each.alternate} if each.alternate else {})
            for each in objects.exchanges
        },
        "queues": {each.name: _queue(each) for each in objects.queues},
        "bindings": [
            {"source": each.source, "queue": each.queue}
            | ({"routingKey": each.routing_key} if each.routing_key else {})
            for each in objects.bindings
        ],
    }


def _queue(queue: NeededQueue) -> dict[str, Any]:
    """The fields that stand for `queue.arguments`."""
    if queue.dead_letter is None:
        return {"deliveryLimit": -1}
    exchange, key = queue.dead_letter
    shortest, longest = RETRY_SECONDS
    return {
        "deadLetter": {"exchange": exchange, "routingKey": key},
        "retry": {"minSeconds": shortest, "maxSeconds": longest},
        "deliveryLimit": DELIVERY_LIMIT,
    }


def _users(topology: ServiceTopology) -> dict[str, Any]:
    """The service's user. It declares nothing, reads its queues, and writes only the types that it announces."""
    permissions = {}
    topics = []
    if topology.consumed:
        permissions["read"] = any_of(topology.consumed)
    if topology.announced:
        permissions["write"] = any_of([topology.exchange])
        topics.append({"exchange": topology.exchange, "write": any_of(topology.announced)})
    user = {"secretName": f"{topology.user}-rabbitmq", "permissions": permissions, "topicPermissions": topics}
    return {topology.user: {key: value for key, value in user.items() if value}}


def any_of(names: Sequence[str]) -> str:
    """Return the regular expression that matches these names only."""
    alternatives = "|".join(re.escape(name) for name in names)
    return f"^({alternatives})$" if len(names) > 1 else f"^{alternatives}$"


# YAML: a mapping of a mapping goes to lines of its own, the rest stays on one.


def _yaml(document: Mapping[str, Any]) -> str:
    return "\n".join(_lines(document, depth=0)) + "\n"


def _lines(mapping: Mapping[str, Any], depth: int) -> Iterator[str]:
    indent = "  " * depth
    for key, value in mapping.items():
        match value:
            case {} if value and depth < 3 and key != "metadata":
                yield f"{indent}{_scalar(key)}:"
                yield from _lines(value, depth + 1)
            case [_, *_]:
                yield f"{indent}{_scalar(key)}:"
                yield from (f"{indent}  - {_flow(each)}" for each in value)
            case _:
                yield f"{indent}{_scalar(key)}: {_flow(value)}"


def _flow(value: Any) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(_flow(each) for each in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    """A string that is a plain word as it is; every other value as JSON, which is YAML too."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS_OF_YAML:
        return value
    return msgspec.json.encode(value).decode()
