"""Everything that all resources together declare in one virtual host."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import msgspec

from broker_topology.findings import did_you_mean
from broker_topology.planning.state import Body, BrokerState, ObjectId, ObjectKind
from broker_topology.resource import super_streams
from broker_topology.resource.declared import Binding
from broker_topology.resource.expressions import permits
from broker_topology.resource.model import Exchange, LoadedTopology, Queue
from broker_topology.rules.routing import RoutingTable

PREDECLARED = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.rabbitmq.trace": "topic",
    "amq.topic": "topic",
}
"""Exchanges the broker makes in every virtual host, and their types."""


class ExistingObjects(msgspec.Struct, frozen=True):
    """What the broker holds in one virtual host."""

    exchanges: Mapping[str, Exchange]
    queues: frozenset[str]
    bindings: list[Binding]

    @classmethod
    def of(cls, observed: BrokerState, vhost: str, leaving: frozenset[ObjectId]) -> ExistingObjects:
        def staying(kind: ObjectKind) -> Iterable[tuple[tuple[str, ...], Body]]:
            for identity, body in observed[kind].items():
                if identity.vhost == vhost and (kind, identity) not in leaving:
                    yield identity.name, body

        return cls(
            {
                name: Exchange(type=body["type"], alternate_exchange=body["arguments"].get("alternate-exchange"))
                for (name,), body in staying(ObjectKind.EXCHANGE)
                if name
            },
            frozenset(name for (name,), _ in staying(ObjectKind.QUEUE)),
            [_binding(name) for name, _ in staying(ObjectKind.BINDING)],
        )


def _binding(name: tuple[str, ...]) -> Binding:
    source, kind, target, routing_key, arguments = name
    queue, exchange = (target, None) if kind == "queue" else (None, target)
    given = json.loads(arguments or "{}")
    return Binding(source=source, queue=queue, exchange=exchange, routing_key=routing_key, arguments=given)


class VhostGraph:
    """Names and routes of one virtual host, independent of which resource declares them.

    `there` is what the broker holds already and nobody here declares: it may be referred to.
    """

    def __init__(self, topologies: list[LoadedTopology], there: ExistingObjects | None = None) -> None:
        self.topologies = topologies
        self.there = there or ExistingObjects({}, frozenset(), [])
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        bindings = list(self.there.bindings)
        for item in topologies:
            self.exchanges |= super_streams.exchanges(item.spec)
            self.queues |= super_streams.queues(item.spec)
            bindings += super_streams.bindings(item.spec)
        self._matched: dict[str, bool | None] = {}
        self.routes = RoutingTable({**self.there.exchanges, **self.exchanges}, bindings)

    def matched(self, expression: str) -> bool | None:
        """Whether a permission matches any exchange or queue; None when Python cannot judge the expression."""
        if expression not in self._matched:
            names = {*self.exchanges, *PREDECLARED, *self.queues, *self.there.exchanges, *self.there.queues}
            found = {permits(expression, name) for name in names}
            self._matched[expression] = None if None in found else True in found
        return self._matched[expression]

    def has_exchange(self, name: str) -> bool:
        return self.exchange_type(name) is not None

    def has_queue(self, name: str) -> bool:
        return name in self.queues or name in self.there.queues

    def exchange_type(self, name: str) -> str | None:
        declared = self.exchanges.get(name) or self.there.exchanges.get(name)
        return declared.type if declared is not None else PREDECLARED.get(name)

    def unknown_exchange(self, name: str) -> str:
        return f"no Topology declares exchange {name}{did_you_mean(name, self.exchanges)}"

    def unknown_queue(self, name: str) -> str:
        return f"no Topology declares queue {name}{did_you_mean(name, self.queues)}"


def graphs(
    topologies: Iterable[LoadedTopology],
    observed: BrokerState | None = None,
    leaving: frozenset[ObjectId] = frozenset(),
) -> dict[str, VhostGraph]:
    """One graph for each virtual host. `leaving` is what the broker holds and will not hold for long."""
    by_vhost: dict[str, list[LoadedTopology]] = {}
    for item in topologies:
        by_vhost.setdefault(item.spec.vhost, []).append(item)
    return {
        vhost: VhostGraph(items, None if observed is None else ExistingObjects.of(observed, vhost, leaving))
        for vhost, items in by_vhost.items()
    }
