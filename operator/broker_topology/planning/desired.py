"""Translates resources into the desired state of the broker. Pure.

A user's body has the name of its Secret instead of a password: `broker.execution` adds the credential when it writes
the user, so no password is in a plan or in a message.
"""

from collections.abc import Iterable, Mapping, Sequence

from broker_topology.planning.state import Body, BrokerState, Key, ObjectKind, empty_state, with_defaults
from broker_topology.resource import super_streams
from broker_topology.resource.model import LoadedTopology, VhostSettings
from broker_topology.resource.objects import Exchange, Policy, Queue, User
from broker_topology.resource.queue_arguments import queue_arguments

Usernames = Mapping[str, Sequence[str]]
"""The names at the broker of each user of the resource: with rotation there are two during the overlap."""


def desired_state(topologies: Iterable[LoadedTopology], usernames: Usernames | None = None) -> BrokerState:
    """Returns the state that these (validated) resources declare. A user outside of `usernames` has its own name."""
    state = empty_state()
    for item in topologies:
        spec, vhost = item.spec, item.spec.vhost
        state[ObjectKind.VHOST].setdefault(Key.of(vhost), {})
        if settings := vhost_body(spec.vhost_settings):
            state[ObjectKind.VHOST][Key.of(vhost)] = settings
        limits = {"max-connections": spec.vhost_limits.max_connections, "max-queues": spec.vhost_limits.max_queues}
        state[ObjectKind.VHOST_LIMIT] |= _limits(vhost, limits)
        for kind, bodies in (
            (ObjectKind.EXCHANGE, {name: exchange_body(each) for name, each in super_streams.exchanges(spec).items()}),
            (ObjectKind.QUEUE, {name: queue_body(each) for name, each in super_streams.queues(spec).items()}),
            (ObjectKind.POLICY, {name: policy_body(each) for name, each in spec.policies.items()}),
            (ObjectKind.OPERATOR_POLICY, {name: policy_body(each) for name, each in spec.operator_policies.items()}),
        ):
            state[kind] |= {Key.of(name, vhost): body for name, body in bodies.items()}
        for each in super_streams.bindings(spec):
            key = Key.of_binding(vhost, each.source, each.target, each.routing_key, each.arguments)
            state[ObjectKind.BINDING][key] = {}
        for name, user in spec.users.items():
            for username in (usernames or {}).get(name, (name,)):
                _add_user(state, vhost, username, user)
    return state


def vhost_body(settings: VhostSettings) -> Body:
    """Returns only the fields that are set: the others keep the broker's values."""
    body = {
        "description": settings.description,
        "tags": sorted(settings.tags) if settings.tags is not None else None,
        "default_queue_type": settings.default_queue_type,
    }
    return {name: value for name, value in body.items() if value is not None}


def exchange_body(exchange: Exchange) -> Body:
    alternate = {} if exchange.alternate_exchange is None else {"alternate-exchange": exchange.alternate_exchange}
    return {
        "type": exchange.type,
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": exchange.arguments | alternate,
    }


def queue_body(queue: Queue) -> Body:
    arguments = with_defaults(queue_arguments(queue))
    return {"durable": queue.durable, "auto_delete": queue.auto_delete, "arguments": arguments}


def policy_body(policy: Policy) -> Body:
    return {
        "pattern": policy.pattern,
        "apply-to": policy.apply_to,
        "priority": policy.priority,
        "definition": policy.definition,
    }


def _add_user(state: BrokerState, vhost: str, name: str, user: User) -> None:
    state[ObjectKind.USER][Key.of(name)] = {
        "tags": sorted(user.tags),
        "secret": user.secret_name,
        "generated": user.credentials == "Generate",
    }
    limits = {"max-connections": user.limits.max_connections, "max-channels": user.limits.max_channels}
    state[ObjectKind.USER_LIMIT] |= _limits(name, limits)
    rights = user.permissions
    state[ObjectKind.PERMISSION][Key.of(name, vhost)] = {
        "configure": rights.configure,
        "write": rights.write,
        "read": rights.read,
    }
    for topic in user.topic_permissions:
        key = Key(vhost, (name, topic.exchange))
        state[ObjectKind.TOPIC_PERMISSION][key] = {"write": topic.write, "read": topic.read}


def _limits(owner: str, limits: Mapping[str, int | None]) -> dict[Key, Body]:
    return {Key("", (owner, limit)): {"value": value} for limit, value in limits.items() if value is not None}
