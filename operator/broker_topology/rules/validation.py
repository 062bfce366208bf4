"""The whole graph, over all resources together, before anything is written.

The broker checks one object at a time and forgives most of what makes a topology useless: a binding key nobody sends,
a dead-letter exchange that does not exist, a permission that matches nothing. Everything of that kind is refused here,
all findings at once, each with its file and path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from broker_topology.broker.ownership import Object
from broker_topology.errors import InvalidTopology
from broker_topology.findings import Finding
from broker_topology.planning.state import State
from broker_topology.resource import super_streams
from broker_topology.resource.model import Loaded, User, VhostSettings
from broker_topology.rules.graph import Graph, graphs
from broker_topology.rules.permissions import permission_findings
from broker_topology.rules.queues import queue_findings
from broker_topology.rules.settings import setting_findings

MAX_NAME_BYTES = 255
"""AMQP 0-9-1 carries names and routing keys as short strings."""

HEADER_MATCHES = ("all", "any", "all-with-x", "any-with-x")


def validate(topologies: Sequence[Loaded]) -> None:
    """Raises `InvalidTopology` with every finding; returns when there is none."""
    if found := findings(topologies):
        raise InvalidTopology(found)


def findings(
    topologies: Sequence[Loaded],
    neighbours: Sequence[Loaded] = (),
    observed: State | None = None,
    leaving: frozenset[Object] = frozenset(),
) -> list[Finding]:
    """Every reason to refuse these resources, sorted by file and position in it.

    References may be to what `neighbours` declare, or to what the broker holds already (`observed`, without what is
    `leaving`); nothing is said about the neighbours themselves.
    """
    found = list(_duplicates(topologies))
    judged = {id(item) for item in topologies}
    for vhost_graph in graphs([*neighbours, *topologies], observed, leaving).values():
        for item in vhost_graph.topologies:
            if id(item) in judged:
                found += _findings(item, vhost_graph)
    order = {id(item.origin): position for position, item in enumerate(topologies)}
    return sorted(found, key=lambda finding: order.get(id(finding.origin), -1))


def _findings(item: Loaded, graph: Graph) -> Iterator[Finding]:
    yield from setting_findings(item)
    yield from _names(item)
    yield from _exchanges(item, graph)
    yield from queue_findings(item, graph)
    yield from _bindings(item, graph)
    yield from permission_findings(item, graph)


def _duplicates(topologies: Sequence[Loaded]) -> Iterator[Finding]:
    """An object belongs to exactly one resource; two owners would overwrite each other for ever."""
    owners: dict[tuple[str, ...], tuple[Loaded, str]] = {}
    users: dict[str, tuple[Loaded, User]] = {}
    for item in topologies:
        for identity, path in _identities(item):
            if identity in owners:
                other, other_path = owners[identity]
                place = other_path if other is item else f"{other.origin}: {other_path}"
                yield Finding(item.origin, path, f"is already defined at {place}")
            else:
                owners[identity] = (item, path)
        for name, user in item.spec.users.items():
            first, known = users.setdefault(name, (item, user))
            if first.spec.vhost == item.spec.vhost:
                continue  # the same virtual host: reported as a duplicate above
            if (known.secret_name, known.tags, known.limits) != (user.secret_name, user.tags, user.limits):
                yield Finding(
                    item.origin,
                    f"spec.users.{name}",
                    f"users belong to the whole broker, and {first.origin} gives this one another "
                    "secretName, tags or limits",
                )


def _identities(item: Loaded) -> Iterator[tuple[tuple[str, ...], str]]:
    spec = item.spec
    for section, name in _named(item):
        yield (spec.vhost, section, name), f"spec.{section}.{name}"
    for name, stream in spec.super_streams.items():
        yield (spec.vhost, "exchanges", name), f"spec.superStreams.{name}"
        for number in range(stream.partitions):
            yield (spec.vhost, "queues", super_streams.partition(name, number)), f"spec.superStreams.{name}"
    for position, binding in enumerate(spec.bindings):
        target = ("queue", binding.queue) if binding.queue is not None else ("exchange", binding.exchange or "")
        arguments = repr(sorted(binding.arguments.items()))
        yield (
            (spec.vhost, "bindings", binding.source, *target, binding.routing_key, arguments),
            f"spec.bindings[{position}]",
        )
    for limit in ("max_connections", "max_queues"):
        if getattr(spec.vhost_limits, limit) is not None:
            yield (spec.vhost, "vhostLimits", limit), "spec.vhostLimits"
    if spec.vhost_settings != VhostSettings():
        yield (spec.vhost, "vhostSettings"), "spec.vhostSettings"


def _named(item: Loaded) -> Iterator[tuple[str, str]]:
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


def _names(item: Loaded) -> Iterator[Finding]:
    spec = item.spec
    named: list[tuple[str, str]] = [("spec.vhost", spec.vhost)]
    named += [(f"spec.{section}.{name}", name) for section, name in _named(item)]
    # the longest name that comes of it
    named += [
        (f"spec.superStreams.{name}", super_streams.partition(name, stream.partitions - 1) if name else name)
        for name, stream in spec.super_streams.items()
    ]
    for path, name in named:
        if not name:
            yield Finding(item.origin, path, "the name is empty")
        yield from _too_long(item, path, name)
        if name.startswith("amq.") and path.startswith(("spec.exchanges", "spec.queues", "spec.superStreams")):
            yield Finding(item.origin, path, "names beginning with amq. are reserved by the broker")
    for position, binding in enumerate(spec.bindings):
        yield from _too_long(item, f"spec.bindings[{position}].routingKey", binding.routing_key)


def _too_long(item: Loaded, path: str, name: str) -> Iterable[Finding]:
    size = len(name.encode())
    if size > MAX_NAME_BYTES:
        yield Finding(item.origin, path, f"is {size} bytes long; the broker takes at most {MAX_NAME_BYTES}")


def _exchanges(item: Loaded, graph: Graph) -> Iterator[Finding]:
    for name, exchange in item.spec.exchanges.items():
        path = f"spec.exchanges.{name}"
        alternate = exchange.alternate_exchange
        if alternate is not None:
            if alternate == name:
                yield Finding(item.origin, f"{path}.alternateExchange", "is the exchange itself")
            elif not graph.has_exchange(alternate):
                yield Finding(item.origin, f"{path}.alternateExchange", graph.unknown_exchange(alternate))
            elif not graph.routes.queues(alternate, None):
                yield Finding(item.origin, f"{path}.alternateExchange", f"no queue is bound to exchange {alternate}")
        if "alternate-exchange" in exchange.arguments:
            yield Finding(item.origin, f"{path}.arguments.alternate-exchange", "use the field alternateExchange")


def _bindings(item: Loaded, graph: Graph) -> Iterator[Finding]:
    for position, binding in enumerate(item.spec.bindings):
        path = f"spec.bindings[{position}]"
        if (binding.queue is None) == (binding.exchange is None):
            yield Finding(item.origin, path, "needs exactly one of queue and exchange")
        if not binding.source:
            yield Finding(item.origin, f"{path}.source", "the default exchange takes no bindings")
        elif not graph.has_exchange(binding.source):
            yield Finding(item.origin, f"{path}.source", graph.unknown_exchange(binding.source))
        if binding.queue is not None and not graph.has_queue(binding.queue):
            yield Finding(item.origin, f"{path}.queue", graph.unknown_queue(binding.queue))
        if binding.exchange is not None and not graph.has_exchange(binding.exchange):
            yield Finding(item.origin, f"{path}.exchange", graph.unknown_exchange(binding.exchange))
        match = binding.arguments.get("x-match")
        if match is not None and match not in HEADER_MATCHES:
            yield Finding(
                item.origin, f"{path}.arguments.x-match", f"{match!r} is not one of {', '.join(HEADER_MATCHES)}"
            )
        yield from _ignored_parts(item, path, position, graph)


def _ignored_parts(item: Loaded, path: str, position: int, graph: Graph) -> Iterator[Finding]:
    """Parts of a binding that its exchange never looks at are mistakes."""
    binding = item.spec.bindings[position]
    kind = graph.exchange_type(binding.source)
    if kind == "headers" and not [name for name in binding.arguments if name != "x-match"]:
        yield Finding(item.origin, f"{path}.arguments", "a headers exchange matches on headers; name at least one")
    if kind in {"direct", "topic"} and not binding.routing_key:
        yield Finding(
            item.origin, f"{path}.routingKey", f"is required: exchange {binding.source} routes by it ({kind})"
        )
