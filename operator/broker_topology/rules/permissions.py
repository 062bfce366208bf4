"""Do the permissions reach what they are for?

The broker takes any regular expression, and a user whose expression matches nothing simply fails at run time. Worse, a
user who may write to a topic exchange and has no topic permission there may use every routing key: topic permissions
fail open. So this refuses expressions that match nothing declared, and topic exchanges left open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from broker_topology.findings import Finding
from broker_topology.resource.model import NOTHING, Loaded, Permissions, TopicPermission, User
from broker_topology.rules.graph import PREDECLARED, Graph

TEMPLATE = re.compile(r"\{(username|vhost|client_id)\}")
"""The broker fills these in in topic permissions."""


def permission_findings(item: Loaded, graph: Graph) -> Iterator[Finding]:
    """Every problem of the users of one resource."""
    for name, user in item.spec.users.items():
        path = f"spec.users.{name}"
        if not user.secret_name:
            yield Finding(item.origin, f"{path}.secretName", "is required: it holds the user's password")
        elif "/" in user.secret_name or user.secret_name in {".", ".."}:
            yield Finding(item.origin, f"{path}.secretName", f"{user.secret_name!r} is not a name")
        for where, message in _permissions(user.permissions, graph):
            yield Finding(item.origin, f"{path}.permissions.{where}", message)
        yield from _topics(item, f"{path}.topicPermissions", user, graph)
        yield from _open_topics(item, path, user, graph)
    for section, policies in (
        ("policies", item.spec.policies),
        ("operatorPolicies", item.spec.operator_policies),
    ):
        for name, policy in policies.items():
            if (problem := _problem(policy.pattern)) is not None:
                yield Finding(item.origin, f"spec.{section}.{name}.pattern", problem)


def _permissions(permissions: Permissions, graph: Graph) -> Iterator[tuple[str, str]]:
    names = {*graph.exchanges, *PREDECLARED, *graph.queues, *graph.there.exchanges, *graph.there.queues}
    declares = permissions.configure != NOTHING  # such a user may as well mean what it will declare itself
    # Writing is publishing (exchanges) and being bound (queues, exchanges); reading is consuming and binding from.
    for where, expression in (("write", permissions.write), ("read", permissions.read)):
        if (problem := _problem(expression)) is not None:
            yield where, problem
        elif expression != NOTHING and not declares and not _any_match(expression, names):
            yield where, f"{expression} matches no declared exchange or queue"
    if (problem := _problem(permissions.configure)) is not None:
        yield "configure", problem


def _topics(item: Loaded, path: str, user: User, graph: Graph) -> Iterator[Finding]:
    seen: set[str] = set()
    for position, topic in enumerate(user.topic_permissions):
        for where, message in _topic(topic, user, graph):
            yield Finding(item.origin, f"{path}[{position}].{where}", message)
        if topic.exchange in seen:
            yield Finding(item.origin, f"{path}[{position}].exchange", f"{topic.exchange} is named twice")
        seen.add(topic.exchange)


def _topic(topic: TopicPermission, user: User, graph: Graph) -> Iterator[tuple[str, str]]:
    kind = graph.exchange_type(topic.exchange)
    if kind is None:
        yield "exchange", graph.unknown_exchange(topic.exchange)
    elif kind != "topic":
        yield "exchange", f"{topic.exchange} is a {kind} exchange; topic permissions hold on topic exchanges only"
    for where, expression, base in (
        ("write", topic.write, user.permissions.write),
        ("read", topic.read, user.permissions.read),
    ):
        if (problem := _problem(TEMPLATE.sub("x", expression))) is not None:
            yield where, problem
        elif (
            kind == "topic" and expression != NOTHING and _problem(base) is None and not re.search(base, topic.exchange)
        ):
            yield where, f"has no effect: permissions.{where} ({base}) does not match {topic.exchange}"


def _open_topics(item: Loaded, path: str, user: User, graph: Graph) -> Iterator[Finding]:
    if _problem(user.permissions.write) is not None:
        return
    limited = {topic.exchange for topic in user.topic_permissions}
    for name, exchange in graph.exchanges.items():
        if exchange.type == "topic" and name not in limited and re.search(user.permissions.write, name):
            yield Finding(
                item.origin,
                f"{path}.topicPermissions",
                f"permissions.write allows topic exchange {name}, and without a topic permission there "
                "every routing key is allowed; add one",
            )


def _problem(expression: str) -> str | None:
    try:
        re.compile(expression)
    except re.error as exc:
        return f"{expression!r} is not a regular expression: {exc.msg} at position {exc.pos}"
    return None


def _any_match(expression: str, names: set[str]) -> bool:
    pattern = re.compile(expression)
    return any(pattern.search(name) for name in names)
