"""Renders plans as text, one line for each step and one more for each difference, and as data for programs."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from broker_topology.findings import printable
from broker_topology.planning.plan import Action, Plan, PlanStep
from broker_topology.planning.state import ObjectKind, display_name

ANSI_COLOURS = {
    Action.CREATE: "32",
    Action.UPDATE: "33",
    Action.DELETE: "31",
    Action.MIGRATE: "33;1",
    Action.BLOCKED: "31;1",
}


def title(step: PlanStep) -> str:
    """Returns the object of the step with its main property: `queue inventory.queue (quorum)`."""
    body = step.body
    text = f"{step.kind.value} {display_name(step.kind, step.key)}"
    match step.kind:
        case ObjectKind.TOPIC_PERMISSION:
            text = f"topic permission {step.key.name[0]} on {step.key.name[1]}{_expressions(step)}"
        case ObjectKind.PERMISSION:
            text += _expressions(step)
        case ObjectKind.VHOST_LIMIT | ObjectKind.USER_LIMIT:
            text += f" ({body.get('value')})"
        case ObjectKind.QUEUE:
            text += f" ({body.get('arguments', {}).get('x-queue-type')})"
        case ObjectKind.EXCHANGE:
            text += f" ({body.get('type')})"
        case ObjectKind.USER if "secret" in body:
            text += " (" + ", ".join([f"secret {body['secret']}", *body.get("tags", ())]) + ")"
    return text


def lines(plan: Plan, *, colour: bool = False) -> Iterator[str]:
    """Yields the whole plan, one line at a time."""
    for step in plan.steps:
        word = f"{step.action.name.lower()} " if step.action in {Action.BLOCKED, Action.MIGRATE} else ""
        line = printable(f"{step.action.value} {word}{title(step)}")
        yield f"\033[{ANSI_COLOURS[step.action]}m{line}\033[0m" if colour else line
        if step.action is not Action.CREATE:
            for change in step.changes:
                yield printable(f"    {change}")
        if step.reason:
            yield printable(f"    {step.reason}")


def plain(plan: Plan) -> list[dict[str, Any]]:
    """Returns the steps as data. A plan holds no password."""
    return [
        {
            "action": step.action.name.lower(),
            "kind": step.kind.value,
            "vhost": step.key.vhost,
            "name": list(step.key.name),
            "title": title(step),
            "changes": [
                {"field": each.field, "observed": each.observed, "desired": each.desired} for each in step.changes
            ],
            "reason": step.reason,
        }
        for step in plan.steps
    ]


def summary(plan: Plan) -> str:
    """Counts by action, `12 to create, 1 blocked`, or `nothing to do`."""
    counted = Counter(step.action for step in plan.steps)
    words = {each: "blocked" if each is Action.BLOCKED else f"to {each.name.lower()}" for each in Action}
    return ", ".join(f"{counted[each]} {words[each]}" for each in Action if counted[each]) or "nothing to do"


def _expressions(step: PlanStep) -> str:
    if step.action is not Action.CREATE:
        return ""
    return " (" + ", ".join(f"{name} {value}" for name, value in step.body.items()) + ")"
