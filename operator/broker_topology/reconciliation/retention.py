"""What must stay although it is no longer wanted. Pure.

A queue that holds messages stays, and with it everything that decides where its messages go: its dead-letter exchange,
the bindings and queues behind that, the policies that hold for it. So does what others at the broker still use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from broker_topology.planning.state import BrokerState, Key, ObjectId, ObjectKind, key
from broker_topology.resource.expressions import matches

DEAD_LETTER, DEAD_LETTER_KEY = "x-dead-letter-exchange", "x-dead-letter-routing-key"
QUEUE_POLICIES = frozenset({"all", "queues", "classic_queues", "quorum_queues", "streams"})


def retained(
    doomed: frozenset[ObjectId], observed: BrokerState, reasons: Mapping[ObjectId, str]
) -> dict[ObjectId, str]:
    """What of `doomed` stays, and why: `reasons` says it of the queues that hold something."""
    kept = {each: reasons[each] for each in doomed if each in reasons}
    if not doomed:
        return kept
    while True:
        staying = {
            (kind, identity)
            for kind in ObjectKind
            for identity in observed[kind]
            if (kind, identity) not in doomed or (kind, identity) in kept
        }
        new = {
            needed: why
            for needed, why in _needs(staying, observed, frozenset(kept))
            if needed in doomed and needed not in kept
        }
        if not new:
            return kept
        kept |= new


def dead_letter_exchanges(queues: Mapping[Key, Mapping[str, object]], doomed: frozenset[ObjectId]) -> set[ObjectId]:
    """The exchanges to which doomed queues dead-letter by their arguments."""
    return {
        (ObjectKind.EXCHANGE, key(str(arguments[DEAD_LETTER]), identity.vhost))
        for identity, body in queues.items()
        if (ObjectKind.QUEUE, identity) in doomed
        and isinstance(arguments := body["arguments"], Mapping)
        and arguments.get(DEAD_LETTER)
    }


def _needs(staying: set[ObjectId], observed: BrokerState, kept: frozenset[ObjectId]) -> Iterator[tuple[ObjectId, str]]:
    """Pairs of what is needed and by whom, one step far."""
    routes: dict[ObjectId, list[ObjectId]] = {}
    for identity in observed[ObjectKind.BINDING]:
        source = (ObjectKind.EXCHANGE, key(identity.name[0], identity.vhost))
        routes.setdefault(source, []).append((ObjectKind.BINDING, identity))
    for kind, identity in sorted(staying, key=lambda each: (each[0].value, each[1])):
        vhost = identity.vhost
        if kind is ObjectKind.QUEUE:
            yield from _of_queue(identity, observed, routes, holds=(kind, identity) in kept)
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


def _of_queue(
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
        for kind in (ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY):
            for policy, body in observed[kind].items():
                if policy.vhost == identity.vhost and _applies(body, identity.name[0]):
                    yield (kind, policy), f"it holds for queue {identity}, which stays"


def _matching(
    routes: Mapping[ObjectId, list[ObjectId]], observed: BrokerState, queue: Key, arguments: Mapping[str, object]
) -> Mapping[ObjectId, list[ObjectId]]:
    """Of a direct exchange, a queue that dead-letters under one key needs the bindings of that key alone."""
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
    """An exchange that somebody relies on, and the bindings that make it reach anything."""
    needed = (ObjectKind.EXCHANGE, key(exchange, vhost))
    yield needed, why
    for binding in routes.get(needed, ()):
        yield binding, f"exchange {exchange} needs it"


def _applies(policy: Mapping[str, object], queue: str) -> bool:
    # an expression that cannot be judged here counts as a match: better kept than lost
    return matches(str(policy["pattern"]), queue) is not False and policy["apply-to"] in QUEUE_POLICIES
