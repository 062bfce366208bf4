"""A verdict -> the status of the resource. Pure.

A status states what the last comparison with the broker found. Where there was none (the broker cannot be read, the
spec is invalid, the resource is paused), counts and conditions are Unknown, and `lastComparedTime` dates the last one.

A status changes when what it says changes, and otherwise every ten minutes, to renew `lastComparedTime`: a resource
that stays as it is costs the API server next to nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from broker_topology.planning import rendering
from broker_topology.planning.plan import Plan
from broker_topology.planning.result import Status, TopologyResult
from topology_operator.crd.status_schema import MAX_NAMED, MAX_OBJECTS, MAX_STEPS, MAX_WARNINGS
from topology_operator.kubernetes.timestamps import seconds_between
from topology_operator.reconcile.ready_condition import ReadyCondition

Document = dict[str, Any]

RENEW_SECONDS = 600.0
NOT_COMPARED = "NotCompared"
MAX_MESSAGE, MAX_ERROR, MAX_LINE, MAX_NAME = 4096, 8192, 2048, 1100


def status_of(
    verdict: ReadyCondition,
    previous: Mapping[str, Any],
    *,
    generation: int,
    now: str,
    address: str = "",
    version: str = "",
    rotations: Mapping[str, str] | None = None,
    compared: str = "",
) -> Document:
    """The whole status. `compared` is the time of the last comparison that this process made before."""
    status: Document = {key: value for key, value in previous.items() if key not in {"conditions", "lastError"}}
    status["observedGeneration"] = generation
    if address:
        status["broker"] = {"address": address, "version": version} if version else {"address": address}
    recorded = previous.get("lastComparedTime", "")
    if verdict.outcome is None:
        for key in ("objects", "omitted", "plan"):
            status.pop(key, None)
        status["summary"] = {"text": "Unknown"}
        if last := max(recorded, compared):
            status["lastComparedTime"] = last
    else:
        if not recorded or seconds_between(recorded, now) >= RENEW_SECONDS:
            status["lastComparedTime"] = now
        status |= _objects(verdict.outcome)
        status["plan"] = _plan(verdict.outcome.plan if verdict.plan_only else Plan(verdict.outcome.plan.blocked))
        status["rotations"] = [{"user": name, "state": text} for name, text in sorted((rotations or {}).items())]
        status["warnings"] = [_cut(each, MAX_LINE) for each in verdict.outcome.warnings[:MAX_WARNINGS]]
        for name in ("rotations", "warnings"):
            if not status[name]:
                del status[name]
        if verdict.outcome.repaired:
            status["drift"] = _drift(verdict.outcome, previous.get("drift") or {}, now)
    if verdict.ready != "True" and not verdict.paused:
        status["lastError"] = _cut(verdict.message, MAX_ERROR)
    status["conditions"] = _conditions(verdict, previous, status, generation, now)
    return status


def _objects(outcome: TopologyResult) -> Document:
    wanted = [each for each in outcome.objects if each.status is not Status.RETAINED]
    held = len(outcome.of(Status.READY))
    # what needs attention first; the engine's order otherwise
    ordered = sorted(outcome.objects, key=lambda each: each.status is Status.READY)
    shown = [
        {"kind": each.kind.value, "name": _cut(each.name, MAX_NAME), "state": each.status.value}
        | ({"message": _cut(each.message, MAX_LINE)} if each.message else {})
        for each in ordered[:MAX_OBJECTS]
    ]
    found: Document = {
        "summary": {"wanted": len(wanted), "held": held, "text": f"{held}/{len(wanted)}"},
        "objects": shown,
    }
    if len(ordered) > len(shown):
        found["omitted"] = len(ordered) - len(shown)
    return found


def _plan(plan: Plan) -> Document:
    """What has not been written."""
    found: Document = {"summary": rendering.summary(plan)}
    if plan:
        found["steps"] = [_cut(line, MAX_LINE) for line in itertools.islice(rendering.lines(plan), MAX_STEPS)]
    return found


def _drift(outcome: TopologyResult, before: Mapping[str, Any], now: str) -> Document:
    named = [_cut(rendering.title(step), MAX_NAME) for step in outcome.repaired]
    return {"repaired": before.get("repaired", 0) + len(named), "lastTime": now, "last": named[:MAX_NAMED]}


def _conditions(
    verdict: ReadyCondition, previous: Mapping[str, Any], status: Mapping[str, Any], generation: int, now: str
) -> list[Document]:
    known = {each["type"]: each for each in previous.get("conditions") or ()}
    found = [_condition("Ready", verdict.ready, verdict.reason, verdict.message)]
    found.append(_drifted(verdict, status))
    if verdict.blocked:
        found.append(_condition("Blocked", "True", verdict.reason, verdict.blocked))
    elif verdict.outcome is None:
        found.append(_condition("Blocked", "Unknown", NOT_COMPARED, _last_compared(status)))
    else:
        found.append(_condition("Blocked", "False", "NotBlocked", "nothing stands in the way for good"))
    found.append(
        _condition("Paused", "True", "Annotated", verdict.message)
        if verdict.paused
        else _condition("Paused", "False", "NotPaused", "the resource is worked on")
    )
    for each in found:
        before = known.get(each["type"])
        same = before is not None and before.get("status") == each["status"]
        each["observedGeneration"] = generation
        each["lastTransitionTime"] = before["lastTransitionTime"] if same and before is not None else now
    return found


def _last_compared(status: Mapping[str, Any]) -> str:
    last = status.get("lastComparedTime")
    return f"the broker was last compared at {last}" if last else "the broker has not been compared yet"


def _drifted(verdict: ReadyCondition, status: Mapping[str, Any]) -> Document:
    outcome = verdict.outcome
    if outcome is None:
        return _condition("Drifted", "Unknown", NOT_COMPARED, _last_compared(status))
    if outcome.repaired:
        return _condition("Drifted", "True", "Repaired", "put back: " + _listed(status["drift"]["last"], outcome))
    if verdict.plan_only and outcome.plan:
        return _condition("Drifted", "True", "Differs", rendering.summary(outcome.plan))
    last = (status.get("drift") or {}).get("lastTime")
    return _condition("Drifted", "False", "InStep", f"last put back at {last}" if last else "nothing was put back yet")


def _listed(names: Sequence[str], outcome: TopologyResult) -> str:
    more = len(outcome.repaired) - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def _condition(kind: str, truth: str, reason: str, message: str) -> Document:
    return {"type": kind, "status": truth, "reason": reason, "message": _cut(message, MAX_MESSAGE)}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Document:
    """The JSON merge patch from one to the other; empty when they are equal."""
    patch: Document = {key: None for key in before if key not in after}
    for key, value in after.items():
        known = before.get(key)
        if known == value:
            continue
        patch[key] = merge_patch(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return patch
