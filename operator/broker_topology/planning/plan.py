"""Wanted and observed state -> the steps from one to the other. Pure.

These steps create and update what the topology names (deletions are in `deletion`). What the broker cannot change in
place (type and arguments of an existing queue or exchange) becomes a `BLOCKED` step with the exact difference: reported
every time, never skipped in silence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec

from broker_topology.credentials.secrets import Credentials
from broker_topology.planning.state import LEADERLESS, Body, BrokerState, Key, ObjectKind

Objects = frozenset[tuple[ObjectKind, Key]]
OF_USERS = frozenset({ObjectKind.USER_LIMIT, ObjectKind.TOPIC_PERMISSION, ObjectKind.PERMISSION})

STAGES: tuple[tuple[ObjectKind, ...], ...] = (
    (ObjectKind.VHOST, ObjectKind.USER),
    (ObjectKind.VHOST_LIMIT, ObjectKind.USER_LIMIT, ObjectKind.EXCHANGE, ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY),
    (ObjectKind.QUEUE,),  # after the policies, so that a queue never lives a moment without them
    (ObjectKind.BINDING, ObjectKind.TOPIC_PERMISSION),
    (ObjectKind.PERMISSION,),  # last: a right to write without its topic permission would allow every routing key
)
"""What can be done at the same time, in the order in which it must be done."""

VHOST_FIELDS = ("description", "tags", "default_queue_type", "tracing")

IMMUTABLE = {
    ObjectKind.QUEUE: "type and arguments of an existing queue cannot be changed",
    ObjectKind.EXCHANGE: "type and arguments of an existing exchange cannot be changed",
}


class Action(Enum):
    CREATE = "+"
    UPDATE = "~"
    DELETE = "-"
    MIGRATE = ">"
    """Its messages move into a new queue of this name. Only shown: `RunMigrations` does it, no step."""
    BLOCKED = "!"


class FieldChange(msgspec.Struct, frozen=True):
    """One difference. None stands for absent."""

    field: str
    observed: Any
    wanted: Any

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.observed)} -> {_shown(self.wanted)}"


class PlanStep(msgspec.Struct, frozen=True):
    """One write (or, blocked, the lack of one)."""

    action: Action
    kind: ObjectKind
    key: Key
    body: Body = {}
    """The wanted body. Of a user it holds no password, only the observed hash when that is still right."""
    changes: tuple[FieldChange, ...] = ()
    reason: str = ""
    """Why it is blocked."""


class Plan(msgspec.Struct, frozen=True):
    """Steps in the order of their execution."""

    steps: tuple[PlanStep, ...]

    @property
    def writes(self) -> tuple[PlanStep, ...]:
        return tuple(step for step in self.steps if step.action not in {Action.BLOCKED, Action.MIGRATE})

    @property
    def blocked(self) -> tuple[PlanStep, ...]:
        return tuple(step for step in self.steps if step.action is Action.BLOCKED)

    def __bool__(self) -> bool:
        """True when there is anything to do or to report."""
        return bool(self.steps)


CUT_OFF = FieldChange("leader", "none, as its declaration was cut off", "any")


def plan(
    wanted: BrokerState,
    observed: BrokerState,
    credentials: Mapping[str, Credentials | None],
    held: Objects = frozenset(),
) -> Plan:
    """What has to happen, in order, leaving out what is `held`.

    `credentials` holds for every wanted user what its Secret holds, None where it is still to be generated.
    """
    steps = [
        step
        for stage in STAGES
        for kind in stage
        for step in _steps(kind, wanted[kind], observed[kind], credentials)
        if (kind, step.key) not in held
    ]
    missing = {
        step.key.name[0]
        for step in steps
        if step.kind is ObjectKind.USER and step.action is Action.BLOCKED and step.key not in observed[ObjectKind.USER]
    }
    return Plan(tuple(_waiting(step) if _of_one_of(step, missing) else step for step in steps))


def _of_one_of(step: PlanStep, users: set[str]) -> bool:
    return step.kind in OF_USERS and step.key.name[0] in users


def _waiting(step: PlanStep) -> PlanStep:
    return msgspec.structs.replace(step, action=Action.BLOCKED, reason=f"waits for user {step.key.name[0]}")


def _steps(
    kind: ObjectKind,
    wanted: Mapping[Key, Body],
    observed: Mapping[Key, Body],
    credentials: Mapping[str, Credentials | None],
) -> Iterator[PlanStep]:
    for identity, body in wanted.items():
        there = observed.get(identity)
        if kind is ObjectKind.USER:
            step = _user(identity, body, there, credentials.get(identity.name[0]))
        elif there is None:
            step = PlanStep(Action.CREATE, kind, identity, body)
        elif kind is ObjectKind.VHOST:
            step = _vhost(identity, body, there)
        else:
            step = _difference(kind, identity, body, there)
        if step is not None:
            yield step


def _difference(kind: ObjectKind, identity: Key, body: Body, there: Body) -> PlanStep | None:
    if kind is ObjectKind.BINDING:  # all it is, is its identity
        return None
    if there.get(LEADERLESS):
        return PlanStep(Action.UPDATE, kind, identity, body, (CUT_OFF,))
    changes = tuple(_changes(body, there))
    if not changes:
        return None
    if kind in IMMUTABLE:
        return PlanStep(Action.BLOCKED, kind, identity, body, changes, IMMUTABLE[kind])
    return PlanStep(Action.UPDATE, kind, identity, body, changes)


def _vhost(identity: Key, body: Body, there: Body) -> PlanStep | None:
    """Only what is asked for is compared; the rest goes along, because the broker resets what a request leaves out."""
    changes = tuple(_changes(body, {name: there.get(name) for name in body}))
    kept = {name: there[name] for name in VHOST_FIELDS if there.get(name) is not None}
    return PlanStep(Action.UPDATE, ObjectKind.VHOST, identity, {**kept, **body}, changes) if changes else None


def _user(identity: Key, body: Body, there: Body | None, credentials: Credentials | None) -> PlanStep | None:
    if credentials is None and not body["generated"]:
        reason = f"secret {body['secret']} is not there, and credentials: Import takes what others make"
        return PlanStep(Action.BLOCKED, ObjectKind.USER, identity, body, (), reason)
    if there is None:
        return PlanStep(Action.CREATE, ObjectKind.USER, identity, body)
    changes = list(_changes({"tags": body["tags"]}, {"tags": there["tags"]}))
    kept: dict[str, Any] = {}
    if credentials is None:
        changes.append(FieldChange("password", "unknown", f"generated into secret {body['secret']}"))
    elif not credentials.fits(there["password_hash"], there["hashing_algorithm"]):
        changes.append(FieldChange("password", "another", f"as in secret {body['secret']}"))
    else:
        kept = {name: there[name] for name in ("password_hash", "hashing_algorithm")}
    return PlanStep(Action.UPDATE, ObjectKind.USER, identity, {**body, **kept}, tuple(changes)) if changes else None


def _changes(wanted: Body, observed: Body) -> Iterator[FieldChange]:
    """Differences by field, one level into `arguments` and `definition`."""
    for field in [*wanted, *(name for name in observed if name not in wanted)]:
        ours, theirs = wanted.get(field), observed.get(field)
        if _same(ours, theirs):
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from _changes(ours, theirs)
        else:
            yield FieldChange(field, theirs, ours)


def _same(ours: Any, theirs: Any) -> bool:
    """Equality as the broker sees it: 1 and 1.0 are the same number, true is not 1."""
    return isinstance(ours, bool) == isinstance(theirs, bool) and bool(ours == theirs)


def _shown(value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)
