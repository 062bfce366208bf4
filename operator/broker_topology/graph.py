"""Everything that all resources together declare in one virtual host."""

from __future__ import annotations

from collections.abc import Iterable

from broker_topology.findings import did_you_mean
from broker_topology.model import Exchange, Loaded, Queue
from broker_topology.routing import Routes

PREDECLARED = {
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
    "amq.topic": "topic",
}
"""Exchanges the broker makes in every virtual host, and their types."""


class Graph:
    """Names and routes of one virtual host, independent of which resource declares them."""

    def __init__(self, topologies: list[Loaded]) -> None:
        self.topologies = topologies
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        for item in topologies:
            self.exchanges |= item.spec.exchanges
            self.queues |= item.spec.queues
        self.routes = Routes(self.exchanges, [each for item in topologies for each in item.spec.bindings])

    def has_exchange(self, name: str) -> bool:
        return name in self.exchanges or name in PREDECLARED

    def exchange_type(self, name: str) -> str | None:
        declared = self.exchanges.get(name)
        return declared.type if declared is not None else PREDECLARED.get(name)

    def unknown_exchange(self, name: str) -> str:
        return f"no Topology declares exchange {name}{did_you_mean(name, self.exchanges)}"

    def unknown_queue(self, name: str) -> str:
        return f"no Topology declares queue {name}{did_you_mean(name, self.queues)}"


def graphs(topologies: Iterable[Loaded]) -> dict[str, Graph]:
    """One graph for each virtual host."""
    by_vhost: dict[str, list[Loaded]] = {}
    for item in topologies:
        by_vhost.setdefault(item.spec.vhost, []).append(item)
    return {vhost: Graph(items) for vhost, items in by_vhost.items()}
