"""Model -> wanted state: translates the author's words into the broker's. Pure.

Users carry the name of their Secret instead of a password here; `apply` fills the credential in at the last moment,
so no password lives in a plan or in a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker_topology.planning.state import Body, BrokerState, Key, ObjectKind, binding_key, empty, key, with_defaults
from broker_topology.resource import super_streams
from broker_topology.resource.model import Exchange, LoadedTopology, Policy, Queue, User, VhostSettings

FIELD_ARGUMENTS = {
    "x-queue-type": "type",
    "x-dead-letter-exchange": "deadLetter.exchange",
    "x-dead-letter-routing-key": "deadLetter.routingKey",
    "x-dead-letter-strategy": "deadLetter.strategy",
    "x-overflow": "overflow",
    "x-delayed-retry-type": "retry",
    "x-delayed-retry-min": "retry.minSeconds",
    "x-delayed-retry-max": "retry.maxSeconds",
    "x-delivery-limit": "deliveryLimit",
    "x-message-ttl": "messageTtlSeconds",
    "x-max-length": "maxLength",
    "x-max-length-bytes": "maxLengthBytes",
    "x-max-age": "maxAge",
    "x-consumer-timeout": "consumerTimeoutSeconds",
    "x-single-active-consumer": "singleActiveConsumer",
}
"""The broker's queue arguments that have a field of their own."""


Usernames = Mapping[str, Sequence[str]]
"""The names at the broker of each user in the resource: with rotation, two during the overlap."""


def desired(topologies: Iterable[LoadedTopology], usernames: Usernames | None = None) -> BrokerState:
    """The state that these (validated) resources ask for. A user without `usernames` has its own name."""
    state = empty()
    for item in topologies:
        spec, vhost = item.spec, item.spec.vhost
        state[ObjectKind.VHOST].setdefault(key(vhost), {})
        if settings := vhost_body(spec.vhost_settings):
            state[ObjectKind.VHOST][key(vhost)] = settings
        _limits(state, ObjectKind.VHOST_LIMIT, vhost, {
            "max-connections": spec.vhost_limits.max_connections,
            "max-queues": spec.vhost_limits.max_queues,
        })  # fmt: skip
        for name, exchange in super_streams.exchanges(spec).items():
            state[ObjectKind.EXCHANGE][key(name, vhost)] = exchange_body(exchange)
        for name, queue in super_streams.queues(spec).items():
            state[ObjectKind.QUEUE][key(name, vhost)] = queue_body(queue)
        for binding in super_streams.bindings(spec):
            kind, target = ("queue", binding.queue) if binding.queue is not None else ("exchange", binding.exchange)
            target_key = (kind, target or "")
            identity = binding_key(vhost, binding.source, target_key, binding.routing_key, binding.arguments)
            state[ObjectKind.BINDING][identity] = {}
        for name, policy in spec.policies.items():
            state[ObjectKind.POLICY][key(name, vhost)] = policy_body(policy)
        for name, policy in spec.operator_policies.items():
            state[ObjectKind.OPERATOR_POLICY][key(name, vhost)] = policy_body(policy)
        for name, user in spec.users.items():
            for username in (usernames or {}).get(name, (name,)):
                _user(state, vhost, username, user)
    return state


def vhost_body(settings: VhostSettings) -> Body:
    """Only what is set: the rest stays as the broker has it."""
    body = {
        "description": settings.description,
        "tags": sorted(settings.tags) if settings.tags is not None else None,
        "default_queue_type": settings.default_queue_type,
    }
    return {name: value for name, value in body.items() if value is not None}


def exchange_body(exchange: Exchange) -> Body:
    arguments = dict(exchange.arguments)
    if exchange.alternate_exchange is not None:
        arguments["alternate-exchange"] = exchange.alternate_exchange
    return {
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": arguments,
    }


def queue_body(queue: Queue) -> Body:
    arguments = with_defaults(queue_arguments(queue))
    return {"durable": queue.durable, "auto_delete": queue.auto_delete, "arguments": arguments}


def queue_arguments(queue: Queue) -> dict[str, Any]:
    """All arguments of the declaration. A field repeated in `arguments` is refused earlier."""
    arguments: dict[str, Any] = {"x-queue-type": queue.type}
    overflow = queue.overflow
    if queue.dead_letter is not None:
        arguments["x-dead-letter-exchange"] = queue.dead_letter.exchange
        arguments["x-dead-letter-routing-key"] = queue.dead_letter.routing_key
        if queue.type == "quorum":
            strategy = queue.dead_letter.strategy or "at-least-once"
            arguments["x-dead-letter-strategy"] = strategy
            if strategy == "at-least-once":
                overflow = overflow or "reject-publish"
    arguments["x-overflow"] = overflow
    if queue.retry is not None:
        arguments["x-delayed-retry-type"] = "failed"
        arguments["x-delayed-retry-min"] = _milliseconds(queue.retry.min_seconds)
        arguments["x-delayed-retry-max"] = _milliseconds(queue.retry.max_seconds)
    arguments["x-delivery-limit"] = queue.delivery_limit
    arguments["x-message-ttl"] = _milliseconds(queue.message_ttl_seconds)
    arguments["x-max-length"] = queue.max_length
    arguments["x-max-length-bytes"] = queue.max_length_bytes
    arguments["x-max-age"] = queue.max_age
    arguments["x-consumer-timeout"] = _milliseconds(queue.consumer_timeout_seconds)
    arguments["x-single-active-consumer"] = True if queue.single_active_consumer else None
    return {name: value for name, value in arguments.items() if value is not None} | queue.arguments


def policy_body(policy: Policy) -> Body:
    return {
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "priority": policy.priority,
        "definition": policy.definition,
    }


def _user(state: BrokerState, vhost: str, name: str, user: User) -> None:
    state[ObjectKind.USER][key(name)] = {
        "tags": sorted(user.tags),
        "secret": user.secret_name,
        "generated": user.credentials == "Generate",
    }
    _limits(state, ObjectKind.USER_LIMIT, name, {
        "max-connections": user.limits.max_connections,
        "max-channels": user.limits.max_channels,
    })  # fmt: skip
    permissions = user.permissions
    state[ObjectKind.PERMISSION][key(name, vhost)] = {
        "configure": permissions.configure,
        "write": permissions.write,
        "read": permissions.read,
    }
    for topic in user.topic_permissions:
        state[ObjectKind.TOPIC_PERMISSION][Key(vhost, (name, topic.exchange))] = {
            "write": topic.write,
            "read": topic.read,
        }


def _limits(state: BrokerState, kind: ObjectKind, owner: str, limits: dict[str, int | None]) -> None:
    for limit, value in limits.items():
        if value is not None:
            state[kind][Key("", (owner, limit))] = {"value": value}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
