"""The whole graph, over all resources together, before anything is written.

The broker checks one object at a time and forgives most of what makes a topology useless: a dead-letter exchange that
does not exist, a permission that matches nothing. All findings come at once, each with its file and path. What the
broker refuses, and what contradicts the files, is an error. What the broker accepts and what is probably a mistake is a
warning, and an error in a resource with `strict`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from broker_topology.errors import InvalidTopology
from broker_topology.findings import Finding, ObjectRef, refusing
from broker_topology.planning.state import BrokerState, ObjectId, binding_key
from broker_topology.resource import super_streams
from broker_topology.resource.model import Binding, LoadedTopology, User, VhostSettings
from broker_topology.rules.graph import VhostGraph, graphs
from broker_topology.rules.permissions import permission_findings
from broker_topology.rules.queues import queue_findings
from broker_topology.rules.settings import setting_findings

replace = msgspec.structs.replace

MAX_NAME_BYTES = 255
"""AMQP 0-9-1 carries names and routing keys as short strings."""

UNADDRESSABLE = frozenset({".", ".."})
"""In the address of a request these mean something else, however they are escaped."""

HEADER_MATCHES = ("all", "any", "all-with-x", "any-with-x")


def validate(topologies: Sequence[LoadedTopology]) -> None:
    """Raises `InvalidTopology` with every error; returns when there is none, whatever the warnings."""
    if found := refusing(findings(topologies)):
        raise InvalidTopology(found)


def findings(
    topologies: Sequence[LoadedTopology],
    peers: Sequence[LoadedTopology] = (),
    observed: BrokerState | None = None,
    leaving: frozenset[ObjectId] = frozenset(),
) -> list[Finding]:
    """Every reason to refuse these resources and every warning, sorted by file and position in it.

    References may be to what `peers` declare, or to what the broker holds already (`observed`, without what is
    `leaving`); nothing is said about the neighbours themselves.
    """
    found = list(_duplicates(topologies))
    judged = {id(item) for item in topologies}
    strict = {id(item.origin) for item in topologies if item.spec.strict}
    for vhost_graph in graphs([*peers, *topologies], observed, leaving).values():
        for item in vhost_graph.topologies:
            if id(item) in judged:
                found += _findings(item, vhost_graph)
    found = [replace(each, warning=False) if id(each.origin) in strict and each.warning else each for each in found]
    order = {id(item.origin): position for position, item in enumerate(topologies)}
    return sorted(found, key=lambda finding: order.get(id(finding.origin), -1))


def _findings(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    yield from setting_findings(item)
    yield from _names(item)
    yield from _exchanges(item, graph)
    yield from queue_findings(item, graph)
    yield from _bindings(item, graph)
    yield from permission_findings(item, graph)


def _duplicates(topologies: Sequence[LoadedTopology]) -> Iterator[Finding]:
    """An object belongs to exactly one resource; two owners would overwrite each other for ever."""
    owners: dict[tuple[str, ...], tuple[LoadedTopology, ObjectRef]] = {}
    users: dict[str, tuple[LoadedTopology, User]] = {}
    secrets: dict[tuple[str | None, str], str] = {}
    for item in topologies:
        for identity, place in _identities(item):
            if identity in owners:
                other, first_place = owners[identity]
                where = first_place if other is item else f"{other.origin}: {first_place}"
                yield place.finding(f"is already defined at {where}")
            else:
                owners[identity] = (item, place)
        for name, user in item.spec.users.items():
            place = ObjectRef(item.origin, "users", name)
            secret = (item.topology.metadata.namespace, user.secret_name or "")
            if (holder := secrets.setdefault(secret, name)) != name and user.secret_name:
                yield place.finding(f"{user.secret_name} is the secret of user {holder} already", "secretName")
            first, known = users.setdefault(name, (item, user))
            if first.spec.vhost == item.spec.vhost:
                continue  # the same virtual host: reported as a duplicate above
            if (known.secret_name, known.tags, known.limits) != (user.secret_name, user.tags, user.limits):
                yield place.finding(
                    f"users belong to the whole broker, and {first.origin} gives this one another "
                    "secretName, tags or limits"
                )


def _identities(item: LoadedTopology) -> Iterator[tuple[tuple[str, ...], ObjectRef]]:
    spec = item.spec

    def place(section: str, name: str | int | None) -> ObjectRef:
        return ObjectRef(item.origin, section, name)

    for section, name in _named(item):
        yield (spec.vhost, section, name), place(section, name)
    for name, stream in spec.super_streams.items():
        yield (spec.vhost, "exchanges", name), place("superStreams", name)
        for number in range(stream.partitions):
            yield (spec.vhost, "queues", super_streams.partition(name, number)), place("superStreams", name)
    for position, binding in enumerate(spec.bindings):
        target = ("queue", binding.queue) if binding.queue is not None else ("exchange", binding.exchange or "")
        identity = binding_key(spec.vhost, binding.source, target, binding.routing_key, binding.arguments)
        yield (spec.vhost, "bindings", *identity.name), place("bindings", position)
    for limit in ("max_connections", "max_queues"):
        if getattr(spec.vhost_limits, limit) is not None:
            yield (spec.vhost, "vhostLimits", limit), place("vhostLimits", None)
    if spec.vhost_settings != VhostSettings():
        yield (spec.vhost, "vhostSettings"), place("vhostSettings", None)


def _named(item: LoadedTopology) -> Iterator[tuple[str, str]]:
    """Each section of named objects with each name in it."""
    spec = item.spec
    for section, names in (
        ("exchanges", spec.exchanges),
        ("queues", spec.queues),
        ("users", spec.users),
        ("policies", spec.policies),
        ("operatorPolicies", spec.operator_policies),
    ):
        for name in names:
            yield section, name


def _names(item: LoadedTopology) -> Iterator[Finding]:
    spec = item.spec
    for message in _name_problems(spec.vhost):
        yield Finding(item.origin, "spec.vhost", message)
    for section, name in _named(item):
        for message in _name_problems(name, declared=section in {"exchanges", "queues"}):
            yield ObjectRef(item.origin, section, name).finding(message)
    for name, stream in spec.super_streams.items():
        longest = super_streams.partition(name, stream.partitions - 1) if name else name
        for message in dict.fromkeys([*_name_problems(name, declared=True), *_name_problems(longest)]):
            yield ObjectRef(item.origin, "superStreams", name).finding(message)


def _name_problems(name: str, *, declared: bool = False) -> Iterator[str]:
    """What stands against a name; `declared` is one of an exchange or a queue."""
    if not name:
        yield "the name is empty"
    if name in UNADDRESSABLE:
        yield f"RabbitMQ's management API cannot address anything called {name}"
    yield from _too_long(name)
    if declared and ("\r" in name or "\n" in name):
        yield "the broker takes line breaks out of the names of exchanges and queues: it would be another one"
    if declared and name.startswith("amq."):
        yield "names beginning with amq. are reserved by the broker"


def _too_long(name: str) -> Iterator[str]:
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        yield f"is {size} bytes long; the broker takes at most {MAX_NAME_BYTES}"


def _exchanges(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    for name, exchange in item.spec.exchanges.items():
        place = ObjectRef(item.origin, "exchanges", name)
        alternate = exchange.alternate_exchange
        if alternate is not None:
            if alternate == name:
                yield place.finding("is the exchange itself", "alternateExchange")
            elif not graph.has_exchange(alternate):
                yield place.finding(graph.unknown_exchange(alternate), "alternateExchange")
            elif not graph.routes.queues(alternate, None):
                yield place.finding(f"no queue is bound to exchange {alternate}", "alternateExchange")
            if "alternate-exchange" in exchange.arguments:
                yield place.finding("the field alternateExchange says the same", "arguments.alternate-exchange")
        for argument, value in exchange.arguments.items():
            if value is None:
                yield place.finding("must not be empty; leave it out", f"arguments.{argument}")


def _bindings(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    for position, binding in enumerate(item.spec.bindings):
        place = ObjectRef(item.origin, "bindings", position)
        if (binding.queue is None) == (binding.exchange is None):
            yield place.finding("needs exactly one of queue and exchange")
        if not binding.source:
            yield place.finding("the default exchange takes no bindings", "source")
        elif not graph.has_exchange(binding.source):
            yield place.finding(graph.unknown_exchange(binding.source), "source")
        if binding.queue is not None and not graph.has_queue(binding.queue):
            yield place.finding(graph.unknown_queue(binding.queue), "queue")
        if binding.exchange is not None and not graph.has_exchange(binding.exchange):
            yield place.finding(graph.unknown_exchange(binding.exchange), "exchange")
        match = binding.arguments.get("x-match")
        if match is not None and match not in HEADER_MATCHES:
            yield place.finding(f"{match!r} is not one of {', '.join(HEADER_MATCHES)}", "arguments.x-match")
        for message in _too_long(binding.routing_key):
            yield place.finding(message, "routingKey")
        yield from _unmanageable(binding, place)
        yield from _ignored_parts(binding, place, graph)


def _unmanageable(binding: Binding, place: ObjectRef) -> Iterator[Finding]:
    """Bindings that the broker takes, and that its management API cannot list or delete (measured on 4.3.6)."""
    if binding.routing_key in UNADDRESSABLE and not binding.arguments:
        message = f"RabbitMQ's management API cannot delete a binding with the routing key {binding.routing_key}"
        yield place.finding(message, "routingKey")
    if binding.arguments and "~" in binding.routing_key:
        message = "with ~ in it and with arguments, RabbitMQ's management API fails to list all bindings from then on"
        yield place.finding(message, "routingKey")
    for argument, value in binding.arguments.items():
        if value is None:
            message = "must not be empty: RabbitMQ's management API fails to list all bindings from then on"
            yield place.finding(message, f"arguments.{argument}")


def _ignored_parts(binding: Binding, place: ObjectRef, graph: VhostGraph) -> Iterator[Finding]:
    """Parts of a binding that its exchange never looks at are mistakes, as a rule."""
    kind = graph.exchange_type(binding.source)
    if kind == "headers" and not [name for name in binding.arguments if name != "x-match"]:
        message = "a headers exchange matches on headers; name at least one"
        yield place.finding(message, "arguments", warning=True)
    if kind in {"direct", "topic"} and not binding.routing_key:
        message = f"is empty, and exchange {binding.source} routes by it ({kind})"
        yield place.finding(message, "routingKey", warning=True)
