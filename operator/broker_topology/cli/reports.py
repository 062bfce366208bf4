"""Prints results as text for users and, with `--json`, as data for programs."""

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import msgspec

from broker_topology.findings import Finding, printable
from broker_topology.planning import rendering
from broker_topology.planning.desired import desired_state
from broker_topology.planning.plan import Action, Plan
from broker_topology.planning.result import ObjectState
from broker_topology.resource.model import LoadedTopology


class PlanReport(msgspec.Struct, frozen=True):
    """The report of `plan`, `check` and `apply`."""

    topologies: list[LoadedTopology]
    plan: Plan
    executed: bool
    kept: tuple[ObjectState, ...] = ()
    stuck: tuple[ObjectState, ...] = ()
    """Queues whose migration waits for a user."""
    migrated: tuple[str, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def show(self, *, as_json: bool) -> None:
        if as_json:
            print_json(self._plain())
            return
        for each in self.warnings:
            print_error(f"warning: {each}")
        left = Plan(self.plan.blocked) if self.executed else self.plan
        if left or not self.executed:
            colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
            for line in rendering.lines(left, colour=colour):
                print(line)  # noqa: T201
            print_line(rendering.summary(left))
        for state in self.kept:
            print_line(f"= kept {state.kind.value} {state.name}: {state.message}")
        for state in self.stuck:
            print_line(f"! {state.kind.value} {state.name}: {state.message}")
        for note in self.notes:
            print_line(f"note: {note}")
        for step, reason in self.failures:
            print_error(f"error: {step}: {reason}")
        if self.executed:
            print_line(f"{topologies_and_objects(self.topologies)}: {self._done()}")

    def _done(self) -> str:
        removed = sum(step.action is Action.DELETE for step in self.plan.writes)
        written = len(self.plan.writes) - removed
        parts = ((written, "written"), (removed, "removed"), (len(self.migrated), "migrated"))
        blocked = len(self.plan.blocked) + len(self.stuck)
        text = ", ".join(f"{count} {word}" for count, word in (*parts, (blocked, "blocked")) if count)
        return text or "nothing to do"

    def _plain(self) -> dict[str, Any]:
        return {
            "carriedOut": self.executed,
            "summary": self._done() if self.executed else rendering.summary(self.plan),
            "steps": rendering.plain(self.plan),
            "migrated": list(self.migrated),
            "kept": [_plain_state(each) for each in self.kept],
            "blocked": [_plain_state(each) for each in self.stuck],
            "failures": [{"step": step, "reason": reason} for step, reason in self.failures],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }


def show_findings(topologies: list[LoadedTopology], found: Iterable[Finding], *, as_json: bool) -> None:
    """Prints warnings, then errors."""
    several = list(found)
    if as_json:
        listed = [
            {"file": str(each.origin), "path": each.path, "message": each.message, "warning": each.warning}
            for each in several
        ]
        print_json({"topologies": len(topologies), "objects": _count(topologies), "findings": listed})
        return
    for each in sorted(several, key=lambda each: not each.warning):
        print_error(f"warning: {each}" if each.warning else str(each))


def print_line(text: str) -> None:
    print(printable(text))  # noqa: T201


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))  # noqa: T201


def print_error(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def topologies_and_objects(topologies: list[LoadedTopology]) -> str:
    files = "1 topology" if len(topologies) == 1 else f"{len(topologies)} topologies"
    return f"{files}, {objects(_count(topologies))}"


def objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _count(topologies: list[LoadedTopology]) -> int:
    """Counts all objects that a plan may have a step for, including permissions and limits."""
    return sum(map(len, desired_state(topologies).values()))


def _plain_state(each: ObjectState) -> dict[str, str]:
    return {"kind": each.kind.value, "vhost": each.vhost, "name": each.name, "why": each.message}
