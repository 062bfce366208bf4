"""Finds the unwanted objects that must be retained. Pure.

A queue that holds messages is retained with everything that decides where its messages go: its dead-letter exchange,
the bindings and queues behind that, the policies that apply to it. Objects that others at the broker use are retained
as well.
"""

from collections.abc import Iterator, Mapping

from broker_topology.planning.state import POLICIES, BrokerState, Key, ObjectId, ObjectKind, by_kind_and_key, key
from broker_topology.resource.expressions import matches

DEAD_LETTER, DEAD_LETTER_KEY = "x-dead-letter-exchange", "x-dead-letter-routing-key"
QUEUE_POLICIES = frozenset({"all", "queues", "classic_queues", "quorum_queues", "streams"})


def retained(
    candidates: frozenset[ObjectId], observed: BrokerState, reasons: Mapping[ObjectId, str]
) -> dict[ObjectId, str]:
    """The retained objects of `candidates`, each with the reason; `reasons` has the queues that are in use."""
    kept = {each: reasons[each] for each in candidates if each in reasons}
    if not candidates:
        return kept
    while True:
        staying = {
            (kind, identity)
            for kind in ObjectKind
            for identity in observed[kind]
            if (kind, identity) not in candidates or (kind, identity) in kept
        }
        new = {
            needed: why
            for needed, why in _needs(staying, observed, frozenset(kept))
            if needed in candidates and needed not in kept
        }
        if not new:
            return kept
        kept |= new


def dead_letter_exchanges(queues: Mapping[Key, Mapping[str, object]], candidates: frozenset[ObjectId]) -> set[ObjectId]:
    """The exchanges to which the queues in `candidates` dead-letter by their arguments."""
    return {
        (ObjectKind.EXCHANGE, key(str(arguments[DEAD_LETTER]), identity.vhost))
        for identity, body in queues.items()
        if (ObjectKind.QUEUE, identity) in candidates
        and isinstance(arguments := body["arguments"], Mapping)
        and arguments.get(DEAD_LETTER)
    }


def _needs(staying: set[ObjectId], observed: BrokerState, kept: frozenset[ObjectId]) -> Iterator[tuple[ObjectId, str]]:
    """The objects that a staying object needs directly, each with the reason."""
    routes: dict[ObjectId, list[ObjectId]] = {}
    for identity in observed[ObjectKind.BINDING]:
        source = (ObjectKind.EXCHANGE, key(identity.name[0], identity.vhost))
        routes.setdefault(source, []).append((ObjectKind.BINDING, identity))
    for kind, identity in sorted(staying, key=by_kind_and_key):
        vhost = identity.vhost
        if kind is ObjectKind.QUEUE:
            yield from _needs_of_queue(identity, observed, routes, holds=(kind, identity) in kept)
        elif kind is ObjectKind.EXCHANGE:
            alternate = observed[kind][identity]["arguments"].get("alternate-exchange")
            if alternate:
                yield from _path(vhost, str(alternate), routes, f"exchange {identity} sends it what it cannot route")
        elif kind is ObjectKind.BINDING:
            origin, target_kind, target, *_ = identity.name
            yield (ObjectKind.EXCHANGE, key(origin, vhost)), f"a binding from it to {target} stays"
            yield (ObjectKind(target_kind), key(target, vhost)), f"a binding from exchange {origin} to it stays"
        elif kind is ObjectKind.POLICY:
            definition = observed[kind][identity]["definition"]
            for field in ("dead-letter-exchange", "alternate-exchange"):
                if definition.get(field):
                    yield from _path(vhost, str(definition[field]), routes, f"policy {identity} names it")


def _needs_of_queue(
    identity: Key, observed: BrokerState, routes: Mapping[ObjectId, list[ObjectId]], *, holds: bool
) -> Iterator[tuple[ObjectId, str]]:
    arguments = observed[ObjectKind.QUEUE][identity]["arguments"]
    exchange = arguments.get(DEAD_LETTER)
    why = f"queue {identity} dead-letters to it"
    if exchange:
        yield from _path(identity.vhost, str(exchange), _matching(routes, observed, identity, arguments), why)
    elif exchange == "" and arguments.get(DEAD_LETTER_KEY):
        yield (ObjectKind.QUEUE, key(str(arguments[DEAD_LETTER_KEY]), identity.vhost)), why
    if holds:
        for kind in POLICIES:
            for policy, body in observed[kind].items():
                if policy.vhost == identity.vhost and _applies(body, identity.name[0]):
                    yield (kind, policy), f"it applies to queue {identity}, which stays"


def _matching(
    routes: Mapping[ObjectId, list[ObjectId]], observed: BrokerState, queue: Key, arguments: Mapping[str, object]
) -> Mapping[ObjectId, list[ObjectId]]:
    """A queue that dead-letters with a fixed key to a direct exchange needs the bindings of that key only."""
    exchange = key(str(arguments[DEAD_LETTER]), queue.vhost)
    direct = observed[ObjectKind.EXCHANGE].get(exchange, {}).get("type") == "direct"
    if not direct or DEAD_LETTER_KEY not in arguments:
        return routes
    bindings = [
        each
        for each in routes.get((ObjectKind.EXCHANGE, exchange), ())
        if each[1].name[3] == arguments[DEAD_LETTER_KEY]
    ]
    return {**routes, (ObjectKind.EXCHANGE, exchange): bindings}


def _path(
    vhost: str, exchange: str, routes: Mapping[ObjectId, list[ObjectId]], why: str
) -> Iterator[tuple[ObjectId, str]]:
    """A needed exchange, and the bindings from it."""
    needed = (ObjectKind.EXCHANGE, key(exchange, vhost))
    yield needed, why
    for binding in routes.get(needed, ()):
        yield binding, f"exchange {exchange} needs it"


def _applies(policy: Mapping[str, object], queue: str) -> bool:
    # an expression that cannot be evaluated here counts as a match
    return matches(str(policy["pattern"]), queue) is not False and policy["apply-to"] in QUEUE_POLICIES
