"""Finds the objects that a step depends on. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from broker_topology.planning.plan import PlanStep
from broker_topology.planning.state import POLICIES, USER_OBJECTS, Body, BrokerState, Key, ObjectId, ObjectKind
from broker_topology.resource.expressions import matches


def first_missing(step: PlanStep, missing: BrokerState, lossy: Mapping[Key, ObjectId]) -> ObjectId | None:
    """Returns the first object in `missing` that this step depends on, or None.

    `lossy` has the queues that no message may be routed to, each with the object in `missing` that they wait for.
    """
    vhost, name = step.key.vhost, step.key.name[0]
    queue = step.kind is ObjectKind.BINDING and step.key.name[1] == "queue" and Key.of(step.key.name[2], vhost)
    if queue and queue in lossy:
        return lossy[queue]
    for kind, key in _needs(step):
        if key in missing[kind]:
            return kind, key
    if step.kind is ObjectKind.PERMISSION:  # without its topic permission it would allow every routing key
        for key in missing[ObjectKind.TOPIC_PERMISSION]:
            if (key.vhost, key.name[0]) == (vhost, name):
                return ObjectKind.TOPIC_PERMISSION, key
    if step.kind is ObjectKind.QUEUE:  # its policies come first; a pattern that cannot be judged counts as a match
        for kind in POLICIES:
            for key, body in missing[kind].items():
                if key.vhost == vhost and matches(str(body["pattern"]), name) is not False:
                    return kind, key
    return None


def lossy_queues(queues: Mapping[Key, Body], steps: Sequence[PlanStep], missing: BrokerState) -> dict[Key, ObjectId]:
    """Returns the desired queues whose dead letters would be lost, each with the missing object behind its exchange.

    No new route may lead to them until that object exists.
    """
    lossy: dict[Key, ObjectId] = {}
    bindings = [step for step in steps if step.kind is ObjectKind.BINDING]
    for queue, body in queues.items():
        arguments = body["arguments"]
        exchange, letter = arguments.get("x-dead-letter-exchange"), arguments.get("x-dead-letter-routing-key")
        if exchange == "" and (target := Key.of(str(letter), queue.vhost)) in missing[ObjectKind.QUEUE]:
            lossy[queue] = ObjectKind.QUEUE, target
        for step in bindings if exchange else ():
            source, _, _, pattern, *_ = step.key.name
            # a pattern that may match counts as a match: the type of the exchange is not considered
            possible = letter is None or pattern in {"", letter} or "*" in pattern or "#" in pattern
            theirs = (step.key.vhost, source) == (queue.vhost, exchange) and possible
            if theirs and (needed := first_missing(step, missing, {})) is not None:
                lossy[queue] = needed
    return lossy


def _needs(step: PlanStep) -> Iterator[ObjectId]:
    """Yields every object that must exist first, as far as the step names it."""
    vhost, name = step.key.vhost, step.key.name
    if vhost:
        yield ObjectKind.VHOST, Key.of(vhost)
    match step.kind:
        case ObjectKind.VHOST_LIMIT:
            yield ObjectKind.VHOST, Key.of(name[0])
        case ObjectKind.EXCHANGE | ObjectKind.QUEUE:
            for argument in ("alternate-exchange", "x-dead-letter-exchange"):
                if target := step.body["arguments"].get(argument):
                    yield ObjectKind.EXCHANGE, Key.of(str(target), vhost)
        case ObjectKind.BINDING:
            source, target_kind, target, *_ = name
            yield ObjectKind.EXCHANGE, Key.of(source, vhost)
            yield ObjectKind(target_kind), Key.of(target, vhost)
        case ObjectKind.TOPIC_PERMISSION:
            yield ObjectKind.EXCHANGE, Key.of(name[1], vhost)
    if step.kind in USER_OBJECTS:
        yield ObjectKind.USER, Key.of(name[0])
