"""Finds the objects that are no longer declared and must be retained. Pure.

A queue that holds messages is retained with everything that decides where its messages go: its dead-letter exchange,
the bindings and queues behind that, the policies that apply to it. Objects that others at the broker use are retained
as well.
"""

from collections.abc import Iterator, Mapping

from broker_topology.planning.state import POLICIES, BrokerState, Key, ObjectId, ObjectKind, by_kind_and_key
from broker_topology.resource.expressions import matches

DEAD_LETTER, DEAD_LETTER_KEY = "x-dead-letter-exchange", "x-dead-letter-routing-key"
QUEUE_POLICIES = frozenset({"all", "queues", "classic_queues", "quorum_queues", "streams"})


def retained(
    candidates: frozenset[ObjectId], observed: BrokerState, reasons: Mapping[ObjectId, str]
) -> dict[ObjectId, str]:
    """Returns the retained objects of `candidates`, each with the reason; `reasons` has the queues that are in use."""
    kept = {each: reasons[each] for each in candidates if each in reasons}
    if not candidates:
        return kept
    while True:
        remaining = {
            (kind, key)
            for kind in ObjectKind
            for key in observed[kind]
            if (kind, key) not in candidates or (kind, key) in kept
        }
        new = {
            needed: why
            for needed, why in _needs(remaining, observed, frozenset(kept))
            if needed in candidates and needed not in kept
        }
        if not new:
            return kept
        kept |= new


def dead_letter_exchanges(queues: Mapping[Key, Mapping[str, object]], candidates: frozenset[ObjectId]) -> set[ObjectId]:
    """Returns the exchanges to which the queues in `candidates` dead-letter by their arguments."""
    return {
        (ObjectKind.EXCHANGE, Key.of(str(arguments[DEAD_LETTER]), key.vhost))
        for key, body in queues.items()
        if (ObjectKind.QUEUE, key) in candidates
        and isinstance(arguments := body["arguments"], Mapping)
        and arguments.get(DEAD_LETTER)
    }


def _needs(
    remaining: set[ObjectId], observed: BrokerState, kept: frozenset[ObjectId]
) -> Iterator[tuple[ObjectId, str]]:
    """Yields the objects that a remaining object needs directly, each with the reason."""
    routes: dict[ObjectId, list[ObjectId]] = {}
    for key in observed[ObjectKind.BINDING]:
        source = (ObjectKind.EXCHANGE, Key.of(key.name[0], key.vhost))
        routes.setdefault(source, []).append((ObjectKind.BINDING, key))
    for kind, key in sorted(remaining, key=by_kind_and_key):
        vhost = key.vhost
        if kind is ObjectKind.QUEUE:
            yield from _needs_of_queue(key, observed, routes, holds=(kind, key) in kept)
        elif kind is ObjectKind.EXCHANGE:
            alternate = observed[kind][key]["arguments"].get("alternate-exchange")
            if alternate:
                yield from _route(vhost, str(alternate), routes, f"exchange {key} sends it what it cannot route")
        elif kind is ObjectKind.BINDING:
            origin, target_kind, target, *_ = key.name
            yield (ObjectKind.EXCHANGE, Key.of(origin, vhost)), f"a binding from it to {target} stays"
            yield (ObjectKind(target_kind), Key.of(target, vhost)), f"a binding from exchange {origin} to it stays"
        elif kind is ObjectKind.POLICY:
            definition = observed[kind][key]["definition"]
            for field in ("dead-letter-exchange", "alternate-exchange"):
                if definition.get(field):
                    yield from _route(vhost, str(definition[field]), routes, f"policy {key} names it")


def _needs_of_queue(
    key: Key, observed: BrokerState, routes: Mapping[ObjectId, list[ObjectId]], *, holds: bool
) -> Iterator[tuple[ObjectId, str]]:
    arguments = observed[ObjectKind.QUEUE][key]["arguments"]
    exchange = arguments.get(DEAD_LETTER)
    why = f"queue {key} dead-letters to it"
    if exchange:
        yield from _route(key.vhost, str(exchange), _bindings_of_key(routes, observed, key, arguments), why)
    elif exchange == "" and arguments.get(DEAD_LETTER_KEY):
        yield (ObjectKind.QUEUE, Key.of(str(arguments[DEAD_LETTER_KEY]), key.vhost)), why
    if holds:
        for kind in POLICIES:
            for policy, body in observed[kind].items():
                if policy.vhost == key.vhost and _applies(body, key.name[0]):
                    yield (kind, policy), f"it applies to queue {key}, which stays"


def _bindings_of_key(
    routes: Mapping[ObjectId, list[ObjectId]], observed: BrokerState, queue: Key, arguments: Mapping[str, object]
) -> Mapping[ObjectId, list[ObjectId]]:
    """Returns only bindings of the key, for a queue that dead-letters with a fixed key to a direct exchange."""
    exchange = Key.of(str(arguments[DEAD_LETTER]), queue.vhost)
    direct = observed[ObjectKind.EXCHANGE].get(exchange, {}).get("type") == "direct"
    if not direct or DEAD_LETTER_KEY not in arguments:
        return routes
    bindings = [
        each
        for each in routes.get((ObjectKind.EXCHANGE, exchange), ())
        if each[1].name[3] == arguments[DEAD_LETTER_KEY]
    ]
    return {**routes, (ObjectKind.EXCHANGE, exchange): bindings}


def _route(
    vhost: str, exchange: str, routes: Mapping[ObjectId, list[ObjectId]], why: str
) -> Iterator[tuple[ObjectId, str]]:
    """Yields a needed exchange, and the bindings from it."""
    needed = (ObjectKind.EXCHANGE, Key.of(exchange, vhost))
    yield needed, why
    for binding in routes.get(needed, ()):
        yield binding, f"exchange {exchange} needs it"


def _applies(policy: Mapping[str, object], queue: str) -> bool:
    # an expression that cannot be evaluated here counts as a match
    return matches(str(policy["pattern"]), queue) is not False and policy["apply-to"] in QUEUE_POLICIES
