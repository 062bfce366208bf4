"""All objects of one virtual host, whichever resource declares them."""

import json
from collections.abc import Iterable, Mapping

import msgspec

from broker_topology.findings import did_you_mean
from broker_topology.planning.state import Body, BrokerState, ObjectId, ObjectKind
from broker_topology.resource import super_streams
from broker_topology.resource.expressions import permits
from broker_topology.resource.model import LoadedTopology
from broker_topology.resource.objects import Binding, Exchange, Queue
from broker_topology.rules.routing import RoutingTable

PREDECLARED = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
    "amq.topic": "topic",
}
"""The exchanges that the broker makes in every virtual host, with their types."""


class ExistingObjects(msgspec.Struct, frozen=True):
    """The objects that the broker holds in one virtual host."""

    exchanges: Mapping[str, Exchange] = {}
    queues: frozenset[str] = frozenset()
    bindings: tuple[Binding, ...] = ()

    @classmethod
    def of(cls, observed: BrokerState, vhost: str, deleted: frozenset[ObjectId]) -> "ExistingObjects":
        """The observed objects of the virtual host without those in `deleted`."""

        def remaining(kind: ObjectKind) -> Iterable[tuple[tuple[str, ...], Body]]:
            for identity, body in observed[kind].items():
                if identity.vhost == vhost and (kind, identity) not in deleted:
                    yield identity.name, body

        return cls(
            {
                name: Exchange(type=body["type"], alternate_exchange=body["arguments"].get("alternate-exchange"))
                for (name,), body in remaining(ObjectKind.EXCHANGE)
                if name
            },
            frozenset(name for (name,), _ in remaining(ObjectKind.QUEUE)),
            tuple(_binding(name) for name, _ in remaining(ObjectKind.BINDING)),
        )


def _binding(name: tuple[str, ...]) -> Binding:
    source, kind, target, routing_key, arguments = name
    queue, exchange = (target, None) if kind == "queue" else (None, target)
    given = json.loads(arguments or "{}")
    return Binding(source=source, queue=queue, exchange=exchange, routing_key=routing_key, arguments=given)


class VhostGraph:
    """The names and routes of one virtual host. References to `existing` objects are allowed."""

    def __init__(self, topologies: list[LoadedTopology], existing: ExistingObjects) -> None:
        self.topologies = topologies
        self._existing = existing
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        bindings = list(existing.bindings)
        for item in topologies:
            self.exchanges |= super_streams.exchanges(item.spec)
            self.queues |= super_streams.queues(item.spec)
            bindings += super_streams.bindings(item.spec)
        self._matched: dict[str, bool | None] = {}
        self.routes = RoutingTable({**existing.exchanges, **self.exchanges}, bindings)

    def matched(self, expression: str) -> bool | None:
        """Whether a permission matches any exchange or queue; None if Python cannot evaluate the expression."""
        if expression not in self._matched:
            names = {*self.exchanges, *PREDECLARED, *self.queues, *self._existing.exchanges, *self._existing.queues}
            found = {permits(expression, name) for name in names}
            self._matched[expression] = None if None in found else True in found
        return self._matched[expression]

    def has_exchange(self, name: str) -> bool:
        return self.exchange_type(name) is not None

    def has_queue(self, name: str) -> bool:
        return name in self.queues or name in self._existing.queues

    def exchange_type(self, name: str) -> str | None:
        declared = self.exchanges.get(name) or self._existing.exchanges.get(name)
        return declared.type if declared is not None else PREDECLARED.get(name)

    def unknown_exchange(self, name: str) -> str:
        return f"no Topology declares exchange {name}{did_you_mean(name, self.exchanges)}"

    def unknown_queue(self, name: str) -> str:
        return f"no Topology declares queue {name}{did_you_mean(name, self.queues)}"


def graphs(
    topologies: Iterable[LoadedTopology], observed: BrokerState | None, deleted: frozenset[ObjectId]
) -> Iterable[VhostGraph]:
    """One graph for each virtual host, with the objects of `observed` that are not about to be `deleted`."""
    by_vhost: dict[str, list[LoadedTopology]] = {}
    for item in topologies:
        by_vhost.setdefault(item.spec.vhost, []).append(item)
    for vhost, items in by_vhost.items():
        existing = ExistingObjects() if observed is None else ExistingObjects.of(observed, vhost, deleted)
        yield VhostGraph(items, existing)
