"""Checks that permissions match the objects that they are for.

The broker accepts any regular expression, and a user whose expression matches nothing fails at run time. A user that
may write to a topic exchange without a topic permission may use every routing key: topic permissions fail open.
Existing brokers hold such users, so these findings are warnings, and `strict` makes them errors.
"""

from collections.abc import Iterator

from broker_topology.findings import Finding, ObjectRef
from broker_topology.resource.expressions import permits
from broker_topology.resource.fields import NOTHING
from broker_topology.resource.model import LoadedTopology
from broker_topology.resource.objects import Permissions, TopicPermission, User
from broker_topology.rules.graph import VhostGraph

PERMITS_NOTHING = frozenset({"", NOTHING})


def permission_findings(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    """Yields the findings about the users of one resource."""
    for name, user in item.spec.users.items():
        ref = ObjectRef(item.origin, "users", name)
        if not user.secret_name:
            yield ref.finding("is required: it holds the user's password", "secretName")
        elif "/" in user.secret_name or user.secret_name in {".", ".."}:
            yield ref.finding(f"{user.secret_name!r} is not a name", "secretName")
        for where, message in _permissions(user.permissions, graph):
            yield ref.finding(message, f"permissions.{where}", warning=True)
        yield from _topics(ref, user, graph)
        yield from _open_topics(ref, user, graph)


def _permissions(permissions: Permissions, graph: VhostGraph) -> Iterator[tuple[str, str]]:
    if permissions.configure not in PERMITS_NOTHING:  # it may name queues that the user declares itself
        return
    # Writing is publishing (exchanges) and being bound (queues, exchanges); reading is consuming and binding from.
    for where, expression in (("write", permissions.write), ("read", permissions.read)):
        if expression in PERMITS_NOTHING:
            continue
        found = graph.matched(expression)
        if found is None:
            yield where, _not_evaluated(expression)
        elif not found:
            yield where, f"{expression} matches no declared exchange or queue"


def _topics(ref: ObjectRef, user: User, graph: VhostGraph) -> Iterator[Finding]:
    seen: set[str] = set()
    for position, topic in enumerate(user.topic_permissions):
        where = f"topicPermissions[{position}]"
        kind = graph.exchange_type(topic.exchange)
        if kind is None:
            yield ref.finding(graph.unknown_exchange(topic.exchange), f"{where}.exchange")
        if topic.exchange in seen:
            yield ref.finding(f"{topic.exchange} is named twice", f"{where}.exchange")
        seen.add(topic.exchange)
        for field, message in _without_effect(topic, user, kind):
            yield ref.finding(message, f"{where}.{field}", warning=True)


def _without_effect(topic: TopicPermission, user: User, kind: str | None) -> Iterator[tuple[str, str]]:
    if kind not in {None, "topic"}:
        yield "exchange", f"{topic.exchange} is a {kind} exchange; topic permissions apply to topic exchanges only"
    for where, expression, base in (
        ("write", topic.write, user.permissions.write),
        ("read", topic.read, user.permissions.read),
    ):
        if kind == "topic" and expression not in PERMITS_NOTHING and permits(base, topic.exchange) is False:
            yield where, f"has no effect: permissions.{where} ({base}) does not match {topic.exchange}"


def _open_topics(ref: ObjectRef, user: User, graph: VhostGraph) -> Iterator[Finding]:
    if user.permissions.write in PERMITS_NOTHING:
        return
    limited = {topic.exchange for topic in user.topic_permissions}
    for name, kind in graph.exchanges.items():
        if kind != "topic" or name in limited:
            continue
        if (found := permits(user.permissions.write, name)) is None:
            yield ref.finding(_not_evaluated(user.permissions.write), "topicPermissions", warning=True)
            return
        if found:
            message = (
                f"permissions.write allows topic exchange {name}, and without a topic permission there "
                "every routing key is allowed; add one"
            )
            yield ref.finding(message, "topicPermissions", warning=True)


def _not_evaluated(expression: str) -> str:
    return f"{expression} cannot be checked here, only the broker knows what it matches"
