"""The status of a Topology, and the patch that writes it. Pure.

A status states the result of the last comparison with the broker. If there was no comparison (the broker is
unreachable, the spec is invalid, the resource is paused), counts and conditions are Unknown, and `lastComparedTime` is
the time of the last one. `lastComparedTime` is renewed every ten minutes only, so an unchanged resource costs the API
server next to nothing.
"""

import itertools
from collections.abc import Mapping
from typing import Any

from broker_topology.planning import rendering
from broker_topology.planning.plan import Plan
from broker_topology.planning.result import Status, TopologyResult
from topology_operator.crd import status_schema as limits
from topology_operator.kubernetes.objects import seconds_between
from topology_operator.reconcile.ready_condition import ReadyCondition

Document = dict[str, Any]

RENEW_SECONDS = 600.0


def build_status(
    ready: ReadyCondition,
    previous: Mapping[str, Any],
    *,
    generation: int,
    now: str,
    address: str = "",
    version: str = "",
    rotations: Mapping[str, str] | None = None,
    compared: str = "",
) -> Document:
    """Returns the whole status. `compared` is the time of the last comparison that this process made before."""
    left_out = {"conditions", "lastError"}
    if ready.result is None:
        left_out |= {"objects", "omitted", "plan"}
    else:
        left_out |= {"omitted", "rotations", "warnings"}
    status: Document = {key: value for key, value in previous.items() if key not in left_out}
    status["observedGeneration"] = generation
    if address:
        status["broker"] = {"address": address, "version": version} if version else {"address": address}
    recorded = previous.get("lastComparedTime", "")
    if ready.result is None:
        status["summary"] = {"text": "Unknown"}
        if last := max(recorded, compared):
            status["lastComparedTime"] = last
    else:
        if not recorded or seconds_between(recorded, now) >= RENEW_SECONDS:
            status["lastComparedTime"] = now
        status |= _objects(ready.result)
        status["plan"] = _plan(ready.result.plan if ready.plan_only else Plan(ready.result.plan.blocked))
        if rotations:
            status["rotations"] = [{"user": name, "state": text} for name, text in sorted(rotations.items())]
        if ready.result.warnings:
            status["warnings"] = [_cut(each, limits.MAX_LINE) for each in ready.result.warnings[: limits.MAX_WARNINGS]]
        if ready.result.repaired:
            status["drift"] = _drift(ready.result, previous.get("drift") or {}, now)
    if not ready.is_true and not ready.paused:
        status["lastError"] = _cut(ready.message, limits.MAX_ERROR)
    known = {each["type"]: each for each in previous.get("conditions") or ()}
    status["conditions"] = _conditions(ready, status)
    for each in status["conditions"]:
        before = known.get(each["type"], {})
        unchanged = before.get("status") == each["status"]
        each["observedGeneration"] = generation
        each["lastTransitionTime"] = before["lastTransitionTime"] if unchanged else now
    return status


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Document:
    """Returns the JSON merge patch from one document to the other; empty if they are equal."""
    patch: Document = {key: None for key in before if key not in after}
    for key, value in after.items():
        known = before.get(key)
        if known != value:
            patch[key] = merge_patch(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return patch


def _objects(result: TopologyResult) -> Document:
    desired = sum(each.status is not Status.RETAINED for each in result.objects)
    synced = len(result.of(Status.READY))
    # objects that need attention first, else in the engine's order
    ordered = sorted(result.objects, key=lambda each: each.status is Status.READY)
    found: Document = {
        "summary": {"desired": desired, "synced": synced, "text": f"{synced}/{desired}"},
        "objects": [
            {"kind": each.kind.value, "name": _cut(each.name, limits.MAX_NAME), "state": each.status.value}
            | ({"message": _cut(each.message, limits.MAX_LINE)} if each.message else {})
            for each in ordered[: limits.MAX_OBJECTS]
        ],
    }
    if len(ordered) > limits.MAX_OBJECTS:
        found["omitted"] = len(ordered) - limits.MAX_OBJECTS
    return found


def _plan(plan: Plan) -> Document:
    """Returns the steps that were not carried out."""
    found: Document = {"summary": rendering.summary(plan)}
    if plan:
        found["steps"] = [
            _cut(line, limits.MAX_LINE) for line in itertools.islice(rendering.lines(plan), limits.MAX_STEPS)
        ]
    return found


def _drift(result: TopologyResult, before: Mapping[str, Any], now: str) -> Document:
    names = [_cut(rendering.title(step), limits.MAX_NAME) for step in result.repaired]
    count = before.get("repaired", 0) + len(names)
    return {"repaired": count, "lastRepairTime": now, "lastRepaired": names[: limits.MAX_REPAIRED]}


def _conditions(ready: ReadyCondition, status: Mapping[str, Any]) -> list[Document]:
    found = [_condition("Ready", ready.status, ready.reason, ready.message), _drifted(ready, status)]
    if ready.blocked_by:
        found.append(_condition("Blocked", "True", ready.reason, ready.blocked_by))
    elif ready.result is None:
        found.append(_not_compared("Blocked", status))
    else:
        found.append(_condition("Blocked", "False", "NotBlocked", "no decision of a person is needed"))
    if ready.paused:
        found.append(_condition("Paused", "True", "AnnotationSet", ready.message))
    else:
        found.append(_condition("Paused", "False", "NotPaused", "the resource is reconciled"))
    return found


def _drifted(ready: ReadyCondition, status: Mapping[str, Any]) -> Document:
    result, drift = ready.result, status.get("drift") or {}
    if result is None:
        return _not_compared("Drifted", status)
    if result.repaired:
        more = len(result.repaired) - len(drift["lastRepaired"])
        names = ", ".join(drift["lastRepaired"]) + (f" and {more} more" if more > 0 else "")
        return _condition("Drifted", "True", "Repaired", f"repaired: {names}")
    if ready.plan_only and result.plan:
        return _condition("Drifted", "True", "OutOfSync", rendering.summary(result.plan))
    last = drift.get("lastRepairTime")
    return _condition("Drifted", "False", "InSync", f"last repair at {last}" if last else "no repair so far")


def _not_compared(kind: str, status: Mapping[str, Any]) -> Document:
    last = status.get("lastComparedTime")
    message = f"the broker was last compared at {last}" if last else "the broker has not been compared yet"
    return _condition(kind, "Unknown", "NotCompared", message)


def _condition(kind: str, status: str, reason: str, message: str) -> Document:
    return {"type": kind, "status": status, "reason": reason, "message": _cut(message, limits.MAX_CONDITION_MESSAGE)}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
