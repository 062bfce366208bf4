"""Determines the status of each object of an owner."""

from collections.abc import Mapping, Sequence

from broker_topology.broker.execution import StepFailure
from broker_topology.migration.context import HeldObject
from broker_topology.planning.plan import Action, Plan, PlanStep
from broker_topology.planning.result import ObjectState, Status
from broker_topology.planning.state import BrokerState, ObjectId, ObjectKind, by_kind_and_key


def object_states(
    desired: BrokerState,
    remaining: Plan,
    failures: Sequence[StepFailure],
    held: Sequence[HeldObject],
    kept: Mapping[ObjectId, str],
) -> tuple[ObjectState, ...]:
    """Returns the desired objects, then the retained ones. `remaining` is the difference after the last read."""
    refused = {each.step.object: each.reason for each in failures}
    steps = {step.object: step for step in remaining.steps}
    moving = {each.object: each for each in held}
    states: list[ObjectState] = []
    for each in ((kind, key) for kind in ObjectKind for key in desired[kind]):
        if each in moving:
            status = Status.BLOCKED if moving[each].blocked else Status.MIGRATING
            states.append(ObjectState.of(each, status, moving[each].message))
        elif each in refused:
            states.append(ObjectState.of(each, Status.FAILED, refused[each]))
        elif (step := steps.get(each)) is not None:
            status = Status.BLOCKED if step.action is Action.BLOCKED else Status.PENDING
            states.append(ObjectState.of(each, status, _reason(step)))
        else:
            states.append(ObjectState.of(each, Status.READY))
    states += [
        ObjectState.of(each, Status.RETAINED, refused.get(each, kept[each]))
        for each in sorted(kept, key=by_kind_and_key)
    ]
    states += [
        ObjectState.of(each, Status.FAILED, reason)
        for each, reason in refused.items()
        if each not in kept and each[1] not in desired[each[0]]
    ]
    return tuple(states)


def _reason(step: PlanStep) -> str:
    if step.action is Action.CREATE:
        return "does not exist"
    differences = "; ".join(map(str, step.changes))
    return ": ".join(part for part in (step.reason, differences) if part)
