"""Do the permissions reach what they are for?

The broker takes any regular expression, and a user whose expression matches nothing simply fails at run time. Worse, a
user who may write to a topic exchange and has no topic permission there may use every routing key: topic permissions
fail open. Brokers that exist hold such users, so these are warnings, and `strict` makes them errors.
"""

from __future__ import annotations

from collections.abc import Iterator

from broker_topology.findings import Finding, ObjectRef
from broker_topology.resource.expressions import permits
from broker_topology.resource.model import NOTHING, LoadedTopology, Permissions, TopicPermission, User
from broker_topology.rules.graph import VhostGraph

PERMITS_NOTHING = frozenset({"", NOTHING})


def permission_findings(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    """Every problem of the users of one resource."""
    for name, user in item.spec.users.items():
        place = ObjectRef(item.origin, "users", name)
        if not user.secret_name:
            yield place.finding("is required: it holds the user's password", "secretName")
        elif "/" in user.secret_name or user.secret_name in {".", ".."}:
            yield place.finding(f"{user.secret_name!r} is not a name", "secretName")
        for where, message in _permissions(user.permissions, graph):
            yield place.finding(message, f"permissions.{where}", warning=True)
        yield from _topics(place, user, graph)
        yield from _open_topics(place, user, graph)


def _permissions(permissions: Permissions, graph: VhostGraph) -> Iterator[tuple[str, str]]:
    if permissions.configure not in PERMITS_NOTHING:  # such a user may as well mean what it will declare itself
        return
    # Writing is publishing (exchanges) and being bound (queues, exchanges); reading is consuming and binding from.
    for where, expression in (("write", permissions.write), ("read", permissions.read)):
        if expression in PERMITS_NOTHING:
            continue
        found = graph.matched(expression)
        if found is None:
            yield where, _not_judged(expression)
        elif not found:
            yield where, f"{expression} matches no declared exchange or queue"


def _topics(place: ObjectRef, user: User, graph: VhostGraph) -> Iterator[Finding]:
    seen: set[str] = set()
    for position, topic in enumerate(user.topic_permissions):
        where = f"topicPermissions[{position}]"
        kind = graph.exchange_type(topic.exchange)
        if kind is None:
            yield place.finding(graph.unknown_exchange(topic.exchange), f"{where}.exchange")
        if topic.exchange in seen:
            yield place.finding(f"{topic.exchange} is named twice", f"{where}.exchange")
        seen.add(topic.exchange)
        for field, message in _without_effect(topic, user, kind):
            yield place.finding(message, f"{where}.{field}", warning=True)


def _without_effect(topic: TopicPermission, user: User, kind: str | None) -> Iterator[tuple[str, str]]:
    if kind not in {None, "topic"}:
        yield "exchange", f"{topic.exchange} is a {kind} exchange; topic permissions hold on topic exchanges only"
    for where, expression, base in (
        ("write", topic.write, user.permissions.write),
        ("read", topic.read, user.permissions.read),
    ):
        if kind == "topic" and expression not in PERMITS_NOTHING and permits(base, topic.exchange) is False:
            yield where, f"has no effect: permissions.{where} ({base}) does not match {topic.exchange}"


def _open_topics(place: ObjectRef, user: User, graph: VhostGraph) -> Iterator[Finding]:
    if user.permissions.write in PERMITS_NOTHING:
        return
    limited = {topic.exchange for topic in user.topic_permissions}
    for name, exchange in graph.exchanges.items():
        if exchange.type != "topic" or name in limited:
            continue
        if (found := permits(user.permissions.write, name)) is None:
            yield place.finding(_not_judged(user.permissions.write), "topicPermissions", warning=True)
            return
        if found:
            message = (
                f"permissions.write allows topic exchange {name}, and without a topic permission there "
                "every routing key is allowed; add one"
            )
            yield place.finding(message, "topicPermissions", warning=True)


def _not_judged(expression: str) -> str:
    return f"{expression} is in a dialect that cannot be judged here; the broker decides what it matches"
