"""All objects of one virtual host, whichever resource declares them."""

from collections.abc import Iterable, Iterator

from broker_topology.findings import did_you_mean
from broker_topology.planning.desired import desired_state
from broker_topology.planning.state import BrokerState, ObjectId, ObjectKind, empty_state
from broker_topology.resource.expressions import permits
from broker_topology.resource.model import LoadedTopology
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


class VhostGraph:
    """The names and routes of one virtual host.

    `existing` objects, which the broker holds, may be referred to as well as those of the topologies.
    """

    def __init__(self, topologies: list[LoadedTopology], existing: BrokerState) -> None:
        self.topologies = topologies
        declared = desired_state(topologies)
        exchanges, queues, bindings = (
            existing[kind] | declared[kind] for kind in (ObjectKind.EXCHANGE, ObjectKind.QUEUE, ObjectKind.BINDING)
        )
        self.exchanges = {each.name[0]: str(body["type"]) for each, body in declared[ObjectKind.EXCHANGE].items()}
        self._queues = [each.name[0] for each in declared[ObjectKind.QUEUE]]
        types = {each.name[0]: str(body["type"]) for each, body in exchanges.items() if each.name[0]}
        self._exchange_types = PREDECLARED | types
        self._queue_names = {each.name[0] for each in queues}
        self._matched: dict[str, bool | None] = {}
        self.routes = RoutingTable(exchanges, bindings)

    def matched(self, expression: str) -> bool | None:
        """Returns whether a permission matches any exchange or queue; None if Python cannot evaluate the expression."""
        if expression not in self._matched:
            found = {permits(expression, name) for name in {*self._exchange_types, *self._queue_names}}
            self._matched[expression] = None if None in found else True in found
        return self._matched[expression]

    def has_exchange(self, name: str) -> bool:
        return name in self._exchange_types

    def has_queue(self, name: str) -> bool:
        return name in self._queue_names

    def exchange_type(self, name: str) -> str | None:
        return self._exchange_types.get(name)

    def unknown_exchange(self, name: str) -> str:
        return f"no Topology declares exchange {name}{did_you_mean(name, self.exchanges)}"

    def unknown_queue(self, name: str) -> str:
        return f"no Topology declares queue {name}{did_you_mean(name, self._queues)}"


def graphs(
    topologies: Iterable[LoadedTopology], observed: BrokerState | None, to_be_deleted: frozenset[ObjectId]
) -> Iterator[VhostGraph]:
    """Yields one graph for each virtual host, with the objects of `observed` that are not `to_be_deleted`."""
    by_vhost: dict[str, list[LoadedTopology]] = {}
    for item in topologies:
        by_vhost.setdefault(item.spec.vhost, []).append(item)
    for vhost, items in by_vhost.items():
        existing = {
            kind: {
                each: body
                for each, body in objects.items()
                if each.vhost == vhost and (kind, each) not in to_be_deleted
            }
            for kind, objects in (observed or empty_state()).items()
        }
        yield VhostGraph(items, existing)
