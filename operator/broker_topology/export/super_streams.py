"""Folds exchanges, streams and bindings into super streams, where they are exactly the parts of one."""

import msgspec

from broker_topology.export.to_spec import Fields
from broker_topology.findings import Origin
from broker_topology.resource.decode import decode
from broker_topology.resource.model import Spec
from broker_topology.resource.super_streams import bindings, exchanges, queues

FormsByName = dict[str, list[Fields]]
"""By name, every form of an object, the best first."""


class FoldedSuperStream(msgspec.Struct, frozen=True):
    """One super stream and its parts."""

    name: str
    fields: Fields
    exchange: list[Fields]
    queues: FormsByName
    bindings: list[Fields]

    def unfold(self, exchanges: FormsByName, queues: FormsByName, bindings: list[Fields]) -> None:
        exchanges[self.name] = self.exchange
        queues.update(self.queues)
        bindings.extend(self.bindings)


def fold(exchanges: FormsByName, queues: FormsByName, bindings: list[Fields]) -> dict[str, FoldedSuperStream]:
    """Removes the parts of super streams from all three."""
    names = [name for name, forms in exchanges.items() if forms[0].get("arguments", {}).get("x-super-stream") is True]
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


def _folded(name: str, exchange: list[Fields], queues: FormsByName, bound: list[Fields]) -> FoldedSuperStream | None:
    ordered = sorted(bound, key=_order)
    parts = {each["queue"]: queues[each["queue"]] for each in ordered if each["queue"] in queues}
    if not ordered or len(parts) != len(ordered):
        return None
    first = parts[ordered[0]["queue"]][0]
    fields = {"partitions": len(ordered), **{field: value for field, value in first.items() if field != "type"}}
    keys = [each.get("routingKey", "") for each in ordered]
    if keys != [str(number) for number in range(len(ordered))]:
        fields["routingKeys"] = keys
    folded = FoldedSuperStream(name, fields, exchange, parts, ordered)
    return folded if _is_exact(folded) else None


def _order(binding: Fields) -> float:
    order = binding.get("arguments", {}).get("x-stream-partition-order", -1)
    return order if isinstance(order, int | float) else -1


def _is_exact(folded: FoldedSuperStream) -> bool:
    whole, _ = decode({"vhost": "v", "superStreams": {folded.name: folded.fields}}, Spec, Origin("export"))
    fields = {
        "vhost": "v",
        "exchanges": {folded.name: folded.exchange[0]},
        "queues": {name: forms[0] for name, forms in folded.queues.items()},
        "bindings": folded.bindings,
    }
    parts, _ = decode(fields, Spec, Origin("export"))
    return (
        whole is not None
        and parts is not None
        and (exchanges(whole), queues(whole), bindings(whole)) == (exchanges(parts), queues(parts), bindings(parts))
    )
