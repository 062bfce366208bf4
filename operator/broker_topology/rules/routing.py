"""The broker's routing rules over declared exchanges and bindings. Pure.

They find dead-letter routes that reach no queue: the broker accepts such a queue, and an at-least-once queue then keeps
every rejected message for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from broker_topology.resource.objects import Binding, Exchange


def topic_matches(pattern: str, routing_key: str) -> bool:
    """Matches as a topic exchange does: `*` is exactly one word, `#` any number of words."""
    reachable = {0}
    words = routing_key.split(".") if routing_key else []
    for part in pattern.split(".") if pattern else []:
        if part == "#":
            reachable = set(range(min(reachable), len(words) + 1)) if reachable else set()
        else:
            reachable = {
                position + 1 for position in reachable if position < len(words) and part in {"*", words[position]}
            }
    return len(words) in reachable


class RoutingTable:
    """The declared exchanges and bindings of one virtual host."""

    def __init__(self, exchanges: Mapping[str, Exchange], bindings: Iterable[Binding]) -> None:
        self._exchanges = exchanges
        self._bindings: dict[str, list[Binding]] = defaultdict(list)
        # an index: a dead-letter exchange may have thousands of bindings
        self._by_key: dict[tuple[str, str], list[Binding]] = defaultdict(list)
        self._patterns: dict[str, list[Binding]] = defaultdict(list)
        for binding in bindings:
            self._bindings[binding.source].append(binding)
            self._by_key[binding.source, binding.routing_key].append(binding)
            if not {"*", "#"}.isdisjoint(binding.routing_key.split(".")):
                self._patterns[binding.source].append(binding)

    def queues(self, exchange: str, routing_key: str | None) -> set[str]:
        """The queues that a message can reach. None means any key: every binding counts.

        Every binding of a headers exchange, and of an exchange that routes by hash, counts as a match.
        """
        found: set[str] = set()
        seen: set[str] = set()
        pending = [exchange]
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            if name == "":  # the default exchange: the key is the queue's name
                found |= {routing_key} if routing_key else set()
                continue
            matched = self._matched(name, routing_key)
            for binding in matched:
                if binding.queue is not None:
                    found.add(binding.queue)
                elif binding.exchange is not None:
                    pending.append(binding.exchange)
            declared = self._exchanges.get(name)
            if declared is not None and declared.alternate_exchange and (not matched or routing_key is None):
                pending.append(declared.alternate_exchange)
        return found

    def _matched(self, exchange: str, routing_key: str | None) -> list[Binding]:
        if routing_key is None:
            return self._bindings[exchange]
        declared = self._exchanges.get(exchange)
        kind = declared.type if declared is not None else exchange.removeprefix("amq.")
        if kind == "direct":
            return self._by_key.get((exchange, routing_key), [])
        if kind == "topic":
            patterns = [each for each in self._patterns[exchange] if topic_matches(each.routing_key, routing_key)]
            # a key that is also a pattern is in both
            literal = self._by_key.get((exchange, routing_key), [])
            return patterns + [each for each in literal if each not in patterns]
        return self._bindings[exchange]
