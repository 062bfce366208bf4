"""Plans for people: one line for each step, one more for each difference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from broker_topology.findings import printable
from broker_topology.planning.plan import Action, Plan, PlanStep
from broker_topology.planning.state import ObjectKind

COLOURS = {
    Action.CREATE: "32",
    Action.UPDATE: "33",
    Action.DELETE: "31",
    Action.MIGRATE: "33;1",
    Action.BLOCKED: "31;1",
}
VERBS = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.DELETE: "to delete",
    Action.MIGRATE: "to migrate",
    Action.BLOCKED: "blocked",
}
WORDS = {Action.BLOCKED: "blocked ", Action.MIGRATE: "migrate "}


def title(step: PlanStep) -> str:
    """What the step is about: `queue inventory.queue (quorum)`."""
    kind, name, body = step.kind, step.key.name, step.body
    text = f"{kind.value} {step.key}"
    match kind:
        case ObjectKind.BINDING:
            source, _, target, routing_key, arguments = name
            label = " ".join(part for part in (routing_key, arguments) if part)
            arrow = f"--{label}-->" if label else "-->"
            text = f"binding {source} {arrow} {target}"
        case ObjectKind.TOPIC_PERMISSION:
            text = f"topic permission {name[0]} on {name[1]}{_expressions(step)}"
        case ObjectKind.PERMISSION:
            text += _expressions(step)
        case ObjectKind.VHOST_LIMIT | ObjectKind.USER_LIMIT:
            text += f" ({body.get('value')})"
        case ObjectKind.QUEUE:
            text += f" ({body.get('arguments', {}).get('x-queue-type')})"
        case ObjectKind.EXCHANGE:
            text += f" ({body.get('type')})"
        case ObjectKind.USER if "secret" in body:
            text += f" ({', '.join(['secret ' + str(body.get('secret')), *body.get('tags', ())])})"
    return text


def lines(plan: Plan, *, colour: bool = False) -> Iterator[str]:
    """The whole plan, one line at a time."""
    for step in plan.steps:
        word = WORDS.get(step.action, "")
        yield _painted(printable(f"{step.action.value} {word}{title(step)}"), step.action, colour)
        if step.action is not Action.CREATE:
            for change in step.changes:
                yield printable(f"    {change}")
        if step.reason:
            yield printable(f"    {step.reason}")


def plain(plan: Plan) -> list[dict[str, Any]]:
    """The steps as data, for programs. No password is in a plan."""
    return [
        {
            "action": step.action.name.lower(),
            "kind": step.kind.value,
            "vhost": step.key.vhost,
            "name": list(step.key.name),
            "title": title(step),
            "changes": [
                {"field": each.field, "observed": each.observed, "wanted": each.wanted} for each in step.changes
            ],
            "reason": step.reason,
        }
        for step in plan.steps
    ]


def summary(plan: Plan) -> str:
    """`12 to create, 1 blocked`, or that there is nothing to do."""
    counted = Counter(step.action for step in plan.steps)
    return ", ".join(f"{counted[action]} {VERBS[action]}" for action in Action if counted[action]) or "nothing to do"


def _expressions(step: PlanStep) -> str:
    if step.action is not Action.CREATE:
        return ""
    return " (" + ", ".join(f"{name} {value}" for name, value in step.body.items()) + ")"


def _painted(text: str, action: Action, colour: bool) -> str:
    return f"\033[{COLOURS[action]}m{text}\033[0m" if colour else text
