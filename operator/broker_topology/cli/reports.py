"""What commands print: the same facts for people and, with `--json`, for programs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from broker_topology.findings import Finding, printable
from broker_topology.planning import rendering
from broker_topology.planning.desired import desired
from broker_topology.planning.plan import Action, Plan
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from broker_topology.resource.model import LoadedTopology


class PlanReport(msgspec.Struct, frozen=True):
    """Of `plan`, `check` and `apply`."""

    topologies: list[LoadedTopology]
    plan: Plan
    """What is to do, or what was done."""
    carried_out: bool
    kept: tuple[ObjectState, ...] = ()
    stuck: tuple[ObjectState, ...] = ()
    """Queues whose migration cannot go on before something is changed by hand."""
    migrated: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def show(self, *, as_json: bool) -> None:
        if as_json:
            say_json(self._plain())
            return
        warn(self.warnings)
        left = Plan(self.plan.blocked) if self.carried_out else self.plan
        if left or not self.carried_out:
            _show(left)
        for each in self.kept:
            say(f"= kept {each.kind.value} {each.name}: {each.message}")
        for each in self.stuck:
            say(f"! {each.kind.value} {each.name}: {each.message}")
        for note in self.notes:
            say(f"note: {note}")
        for what, reason in self.failures:
            complain(f"error: {what}: {reason}")
        if self.carried_out:
            say(f"{counted(self.topologies)}: {self._done()}")

    def _done(self) -> str:
        removed = sum(step.action is Action.DELETE for step in self.plan.writes)
        written = len(self.plan.writes) - removed
        parts = ((written, "written"), (removed, "removed"), (len(self.migrated), "migrated"))
        blocked = len(self.plan.blocked) + len(self.stuck)
        text = ", ".join(f"{count} {word}" for count, word in (*parts, (blocked, "blocked")) if count)
        return text or "nothing to do"

    def _plain(self) -> dict[str, Any]:
        return {
            "carriedOut": self.carried_out,
            "summary": self._done() if self.carried_out else rendering.summary(self.plan),
            "steps": rendering.plain(self.plan),
            "migrated": list(self.migrated),
            "kept": [_object(each) for each in self.kept],
            "blocked": [_object(each) for each in self.stuck],
            "failures": [{"step": step, "reason": reason} for step, reason in self.failures],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def kept(outcome: TopologyResult, without: str) -> tuple[ObjectState, ...]:
    """What is retained for another reason than `without`."""
    return tuple(each for each in outcome.of(Status.RETAINED) if each.message != without)


def show_findings(topologies: list[LoadedTopology], found: Iterable[Finding], *, as_json: bool) -> None:
    """Of a check of files alone."""
    several = list(found)
    if as_json:
        listed = [
            {"file": str(each.origin), "path": each.path, "message": each.message, "warning": each.warning}
            for each in several
        ]
        say_json({"topologies": len(topologies), "objects": objects_in(topologies), "findings": listed})
        return
    warn(str(each) for each in several if each.warning)
    for each in several:
        if not each.warning:
            complain(str(each))


def warn(several: Iterable[str]) -> None:
    for each in several:
        complain(f"warning: {each}")


def say(text: str) -> None:
    print(printable(text))  # noqa: T201


def say_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201


def complain(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def counted(topologies: list[LoadedTopology]) -> str:
    files = "1 topology" if len(topologies) == 1 else f"{len(topologies)} topologies"
    return f"{files}, {objects(objects_in(topologies))}"


def objects_in(topologies: list[LoadedTopology]) -> int:
    """Everything that a plan may have a step for, permissions and limits among it."""
    return sum(map(len, desired(topologies).values()))


def objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _object(each: ObjectState) -> dict[str, str]:
    return {"kind": each.kind.value, "vhost": each.vhost, "name": each.name, "why": each.message}


def _show(plan: Plan) -> None:
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    for line in rendering.lines(plan, colour=colour):
        print(line)  # noqa: T201
    say(rendering.summary(plan))
