"""Super streams out of their parts, where the parts are exactly what a super stream is made of."""

from __future__ import annotations

from typing import Any

import msgspec

from broker_topology.export.to_spec import Fields
from broker_topology.findings import Origin
from broker_topology.resource.decode import decode
from broker_topology.resource.model import Spec
from broker_topology.resource.super_streams import bindings, exchanges, queues

Ways = dict[str, list[Fields]]
"""By name, every way to write an object, the best first."""


class FoldedSuperStream(msgspec.Struct, frozen=True):
    """One super stream and the parts it stands for."""

    name: str
    fields: Fields
    exchange: list[Fields]
    queues: Ways
    bindings: list[Fields]

    def unfold(self, exchanges: Ways, queues: Ways, bindings: list[Fields]) -> None:
        exchanges[self.name] = self.exchange
        queues.update(self.queues)
        bindings.extend(self.bindings)


def fold(exchanges: Ways, queues: Ways, bindings: list[Fields]) -> dict[str, FoldedSuperStream]:
    """Takes the parts of super streams away from all three."""
    names = [name for name, ways in exchanges.items() if ways[0].get("arguments", {}).get("x-super-stream") is True]
    by_source: dict[str, list[Fields]] = {name: [] for name in names}
    for each in bindings:
        if each["source"] in by_source and "queue" in each:
            by_source[each["source"]].append(each)
    found = {name: folded for name in names if (folded := _folded(name, exchanges[name], queues, by_source[name]))}
    gone = {id(each) for folded in found.values() for each in folded.bindings}
    for name, folded in found.items():
        del exchanges[name]
        for queue in folded.queues:
            del queues[queue]
    bindings[:] = [each for each in bindings if id(each) not in gone]
    return found


def _folded(name: str, exchange: list[Fields], queues: Ways, bound: list[Fields]) -> FoldedSuperStream | None:
    ways = sorted(bound, key=_order)
    streams = {each["queue"]: queues.get(each["queue"]) for each in ways}
    parts = {queue: written for queue, written in streams.items() if written is not None}
    if not ways or len(parts) != len(ways):
        return None
    first = parts[ways[0]["queue"]][0]
    fields: Fields = {"partitions": len(ways), **{field: value for field, value in first.items() if field != "type"}}
    keys = [each.get("routingKey", "") for each in ways]
    if keys != [str(number) for number in range(len(ways))]:
        fields["routingKeys"] = keys
    folded = FoldedSuperStream(name, fields, exchange, parts, ways)
    return folded if _same(folded) else None


def _order(binding: Fields) -> float:
    order = binding.get("arguments", {}).get("x-stream-partition-order", -1)
    return order if isinstance(order, int | float) else -1


def _same(folded: FoldedSuperStream) -> bool:
    origin = Origin("export")
    whole: dict[str, Any] = {"vhost": "v", "superStreams": {folded.name: folded.fields}}
    parts: dict[str, Any] = {
        "vhost": "v",
        "exchanges": {folded.name: folded.exchange[0]},
        "queues": {name: ways[0] for name, ways in folded.queues.items()},
        "bindings": folded.bindings,
    }
    (one, _), (other, _) = (decode(each, Spec, origin) for each in (whole, parts))
    return (
        one is not None
        and other is not None
        and exchanges(one) == exchanges(other)
        and queues(one) == queues(other)
        and bindings(one) == bindings(other)
    )
