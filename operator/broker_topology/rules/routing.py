"""The broker's routing rules over declared exchanges and bindings. Pure.

They find dead-letter routes that reach no queue: the broker accepts such a queue, and an at-least-once queue then keeps
every rejected message for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from broker_topology.planning.state import Body, Key


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
    """The exchanges and bindings of one virtual host."""

    def __init__(self, exchanges: Mapping[Key, Body], bindings: Iterable[Key]) -> None:
        self._exchanges = {each.name[0]: body for each, body in exchanges.items()}
        # indexes: a dead-letter exchange may have thousands of bindings
        self._bindings: dict[str, list[Key]] = defaultdict(list)
        self._by_key: dict[tuple[str, str], list[Key]] = defaultdict(list)
        self._patterns: dict[str, list[Key]] = defaultdict(list)
        for binding in bindings:
            source, _, _, routing_key, _ = binding.name
            self._bindings[source].append(binding)
            self._by_key[source, routing_key].append(binding)
            if not {"*", "#"}.isdisjoint(routing_key.split(".")):
                self._patterns[source].append(binding)

    def queues(self, exchange: str, routing_key: str | None) -> set[str]:
        """Returns the queues that a message can reach. None means any key: every binding counts.

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
                _, kind, target, *_ = binding.name
                if kind == "queue":
                    found.add(target)
                else:
                    pending.append(target)
            alternate = self._exchanges.get(name, {"arguments": {}})["arguments"].get("alternate-exchange")
            if alternate and (not matched or routing_key is None):
                pending.append(str(alternate))
        return found

    def _matched(self, exchange: str, routing_key: str | None) -> list[Key]:
        declared = self._exchanges.get(exchange)
        kind = declared["type"] if declared is not None else exchange.removeprefix("amq.")
        if routing_key is None or kind not in {"direct", "topic"}:
            return self._bindings[exchange]
        literal = self._by_key.get((exchange, routing_key), [])
        if kind == "direct":
            return literal
        patterns = [each for each in self._patterns[exchange] if topic_matches(each.name[3], routing_key)]
        return patterns + [each for each in literal if each not in patterns]  # a key that is also a pattern is in both
