"""Checks the whole graph of all resources before anything is written.

The broker checks one object at a time and accepts most mistakes that make a topology useless: a dead-letter exchange
that does not exist, a permission that matches nothing. All findings are reported at once, each with its file and path.
An error is a declaration that the broker refuses or that contradicts another declaration. A warning is one that the
broker accepts but that is probably a mistake; in a resource with `strict` it is an error.
"""

from collections.abc import Iterator, Sequence

import msgspec

from broker_topology.errors import InvalidTopology
from broker_topology.findings import Finding, ObjectRef, errors_in
from broker_topology.planning.state import BrokerState, Key, ObjectId
from broker_topology.resource import super_streams
from broker_topology.resource.model import LoadedTopology, VhostSettings
from broker_topology.resource.objects import Binding, User
from broker_topology.rules.graph import VhostGraph, graphs
from broker_topology.rules.permissions import permission_findings
from broker_topology.rules.queues import queue_findings
from broker_topology.rules.settings import setting_findings

MAX_NAME_BYTES = 255
"""AMQP 0-9-1 carries names and routing keys as short strings."""

UNADDRESSABLE = frozenset({".", ".."})
"""Names that no request can address: even escaped, they are relative path segments of a URL."""

HEADER_MATCHES = ("all", "any", "all-with-x", "any-with-x")


def validate(topologies: Sequence[LoadedTopology]) -> None:
    """Raises `InvalidTopology` with every error. Warnings do not raise."""
    if found := errors_in(check(topologies)):
        raise InvalidTopology(found)


def check(
    topologies: Sequence[LoadedTopology],
    peers: Sequence[LoadedTopology] = (),
    observed: BrokerState | None = None,
    to_be_deleted: frozenset[ObjectId] = frozenset(),
) -> list[Finding]:
    """Returns every error and warning in these resources, sorted by file and position in it.

    References may be to objects of `peers`, and to objects that the broker holds (`observed`), except those
    `to_be_deleted`. The peers themselves are not checked.
    """
    found = list(_duplicates(topologies))
    checked = {id(item) for item in topologies}
    strict = {id(item.origin) for item in topologies if item.spec.strict}
    for graph in graphs([*peers, *topologies], observed, to_be_deleted):
        for item in graph.topologies:
            if id(item) in checked:
                found += _findings(item, graph)
    found = [
        msgspec.structs.replace(each, warning=False) if each.warning and id(each.origin) in strict else each
        for each in found
    ]
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
    """Reports objects that two resources declare: both would overwrite them for ever."""
    owners: dict[tuple[str, ...], tuple[LoadedTopology, ObjectRef]] = {}
    users: dict[str, tuple[LoadedTopology, User]] = {}
    secrets: dict[tuple[str | None, str], str] = {}
    for item in topologies:
        for key, ref in _object_keys(item):
            other, first_ref = owners.setdefault(key, (item, ref))
            if first_ref is not ref:
                where = first_ref if other is item else f"{other.origin}: {first_ref}"
                yield ref.finding(f"is already defined at {where}")
        for name, user in item.spec.users.items():
            ref = ObjectRef(item.origin, "users", name)
            secret = (item.topology.metadata.namespace, user.secret_name or "")
            if (holder := secrets.setdefault(secret, name)) != name and user.secret_name:
                yield ref.finding(f"{user.secret_name} is the secret of user {holder} already", "secretName")
            first, known = users.setdefault(name, (item, user))
            if first.spec.vhost == item.spec.vhost:
                continue  # the same virtual host: reported as a duplicate above
            if (known.secret_name, known.tags, known.limits) != (user.secret_name, user.tags, user.limits):
                yield ref.finding(
                    f"users belong to the whole broker, and {first.origin} gives this one another "
                    "secretName, tags or limits"
                )


def _object_keys(item: LoadedTopology) -> Iterator[tuple[tuple[str, ...], ObjectRef]]:
    spec = item.spec

    def ref(section: str, name: str | int | None = None) -> ObjectRef:
        return ObjectRef(item.origin, section, name)

    for section, name in _named(item):
        yield (spec.vhost, section, name), ref(section, name)
    for name, stream in spec.super_streams.items():
        yield (spec.vhost, "exchanges", name), ref("superStreams", name)
        for number in range(stream.partitions):
            yield (spec.vhost, "queues", super_streams.partition(name, number)), ref("superStreams", name)
    for position, each in enumerate(spec.bindings):
        key = Key.of_binding(spec.vhost, each.source, each.target, each.routing_key, each.arguments)
        yield (spec.vhost, "bindings", *key.name), ref("bindings", position)
    for limit in ("max_connections", "max_queues"):
        if getattr(spec.vhost_limits, limit) is not None:
            yield (spec.vhost, "vhostLimits", limit), ref("vhostLimits")
    if spec.vhost_settings != VhostSettings():
        yield (spec.vhost, "vhostSettings"), ref("vhostSettings")


def _named(item: LoadedTopology) -> Iterator[tuple[str, str]]:
    """Yields each section of named objects with each name in it."""
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
    for message in _name_errors(spec.vhost):
        yield Finding(item.origin, "spec.vhost", message)
    for section, name in _named(item):
        for message in _name_errors(name, declared=section in {"exchanges", "queues"}):
            yield ObjectRef(item.origin, section, name).finding(message)
    for name, stream in spec.super_streams.items():
        longest = super_streams.partition(name, stream.partitions - 1) if name else name
        for message in dict.fromkeys([*_name_errors(name, declared=True), *_name_errors(longest)]):
            yield ObjectRef(item.origin, "superStreams", name).finding(message)


def _name_errors(name: str, *, declared: bool = False) -> Iterator[str]:
    """Yields the errors in a name; `declared` is true for the name of an exchange or a queue."""
    if not name:
        yield "the name is empty"
    if name in UNADDRESSABLE:
        yield f"RabbitMQ's management API cannot address an object called {name}"
    yield from _too_long(name)
    if declared and ("\r" in name or "\n" in name):
        yield "the broker removes line breaks from the names of exchanges and queues: it would be another name"
    if declared and name.startswith("amq."):
        yield "names beginning with amq. are reserved by the broker"


def _too_long(name: str) -> Iterator[str]:
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        yield f"is {size} bytes long; the broker takes at most {MAX_NAME_BYTES}"


def _exchanges(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    for name, exchange in item.spec.exchanges.items():
        ref = ObjectRef(item.origin, "exchanges", name)
        alternate = exchange.alternate_exchange
        if alternate is not None:
            if alternate == name:
                yield ref.finding("is the exchange itself", "alternateExchange")
            elif not graph.has_exchange(alternate):
                yield ref.finding(graph.unknown_exchange(alternate), "alternateExchange")
            elif not graph.routes.queues(alternate, None):
                yield ref.finding(f"no queue is bound to exchange {alternate}", "alternateExchange")
            if "alternate-exchange" in exchange.arguments:
                yield ref.finding("duplicates the field alternateExchange", "arguments.alternate-exchange")
        for argument, value in exchange.arguments.items():
            if value is None:
                yield ref.finding("must not be empty; leave it out", f"arguments.{argument}")


def _bindings(item: LoadedTopology, graph: VhostGraph) -> Iterator[Finding]:
    for position, binding in enumerate(item.spec.bindings):
        ref = ObjectRef(item.origin, "bindings", position)
        for where, message in _binding_errors(binding, graph):
            yield ref.finding(message, where)
        for where, message in _ignored_parts(binding, graph):
            yield ref.finding(message, where, warning=True)


def _binding_errors(binding: Binding, graph: VhostGraph) -> Iterator[tuple[str, str]]:
    if (binding.queue is None) == (binding.exchange is None):
        yield "", "needs exactly one of queue and exchange"
    if not binding.source:
        yield "source", "the default exchange takes no bindings"
    elif not graph.has_exchange(binding.source):
        yield "source", graph.unknown_exchange(binding.source)
    if binding.queue is not None and not graph.has_queue(binding.queue):
        yield "queue", graph.unknown_queue(binding.queue)
    if binding.exchange is not None and not graph.has_exchange(binding.exchange):
        yield "exchange", graph.unknown_exchange(binding.exchange)
    match = binding.arguments.get("x-match")
    if match is not None and match not in HEADER_MATCHES:
        yield "arguments.x-match", f"{match!r} is not one of {', '.join(HEADER_MATCHES)}"
    for message in _too_long(binding.routing_key):
        yield "routingKey", message
    # The broker accepts the following, and its management API cannot list or delete them (measured on 4.3.6).
    if binding.routing_key in UNADDRESSABLE and not binding.arguments:
        message = f"RabbitMQ's management API cannot delete a binding with the routing key {binding.routing_key}"
        yield "routingKey", message
    fails = "RabbitMQ's management API fails to list all bindings from then on"
    if binding.arguments and "~" in binding.routing_key:
        yield "routingKey", f"with ~ in it and with arguments, {fails}"
    for argument, value in binding.arguments.items():
        if value is None:
            yield f"arguments.{argument}", f"must not be empty: {fails}"


def _ignored_parts(binding: Binding, graph: VhostGraph) -> Iterator[tuple[str, str]]:
    """Reports parts of a binding that its exchange ignores: they are usually mistakes."""
    kind = graph.exchange_type(binding.source)
    if kind == "headers" and not [name for name in binding.arguments if name != "x-match"]:
        yield "arguments", "a headers exchange matches on headers; name at least one"
    if kind in {"direct", "topic"} and not binding.routing_key:
        yield "routingKey", f"is empty, and exchange {binding.source} routes by it ({kind})"
