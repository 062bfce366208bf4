"""How each object of an owner stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from broker_topology.broker.execution import StepFailure
from broker_topology.migration.context import HeldObject
from broker_topology.planning.plan import Action, Plan, PlanStep
from broker_topology.planning.result import ObjectState, Status
from broker_topology.planning.state import BrokerState, Key, ObjectId, ObjectKind


def object_states(
    wanted: BrokerState,
    left: Plan,
    failures: Sequence[StepFailure],
    held: Sequence[HeldObject],
    kept: Mapping[ObjectId, str],
) -> tuple[ObjectState, ...]:
    """Everything wanted, then everything kept. `left` is what the broker, read last, still lacks."""
    return tuple(_states(wanted, left, failures, held, kept))


def _states(
    wanted: BrokerState,
    left: Plan,
    failures: Sequence[StepFailure],
    held: Sequence[HeldObject],
    kept: Mapping[ObjectId, str],
) -> Iterator[ObjectState]:
    refused = {(each.step.kind, each.step.key): each.reason for each in failures}
    open_steps = {(step.kind, step.key): step for step in left.steps}
    moving = {each.object: each for each in held}
    for kind in ObjectKind:
        for identity in wanted[kind]:
            each = kind, identity
            if each in moving:
                status = Status.BLOCKED if moving[each].blocked else Status.MIGRATING
                yield state(each, status, moving[each].message)
            elif each in refused:
                yield state(each, Status.FAILED, refused[each])
            elif (step := open_steps.get(each)) is not None:
                yield state(each, Status.BLOCKED if step.action is Action.BLOCKED else Status.PENDING, _why(step))
            else:
                yield state(each, Status.READY)
    for each in sorted(kept, key=lambda item: (item[0].value, item[1])):
        yield state(each, Status.RETAINED, refused.get(each, kept[each]))
    for each, reason in refused.items():
        if each not in kept and each[1] not in wanted[each[0]]:
            yield state(each, Status.FAILED, reason)


def state(each: ObjectId, status: Status, message: str = "") -> ObjectState:
    kind, identity = each
    return ObjectState(kind, identity.vhost, _name(kind, identity), status, message)


def _name(kind: ObjectKind, identity: Key) -> str:
    if kind is ObjectKind.BINDING:
        source, _, target, routing_key, arguments = identity.name
        label = " ".join(part for part in (routing_key, arguments) if part)
        return f"{source} --{label}--> {target}" if label else f"{source} --> {target}"
    return str(identity)


def _why(step: PlanStep) -> str:
    if step.action is Action.CREATE:
        return "is not there"
    differences = "; ".join(map(str, step.changes))
    return ": ".join(part for part in (step.reason, differences) if part)
