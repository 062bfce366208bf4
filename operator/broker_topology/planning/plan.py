"""Compares the desired with the observed state and returns the steps from one to the other. Pure.

The steps create and update objects that the topology names; `reconciliation.deletion` plans deletions. A change that
the broker cannot make in place (type and arguments of an existing queue or exchange) becomes a `BLOCKED` step with the
exact difference.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec

from broker_topology.credentials.secrets import Credentials
from broker_topology.planning.state import LEADERLESS, USER_OBJECTS, Body, BrokerState, Key, ObjectId, ObjectKind

STAGES: tuple[tuple[ObjectKind, ...], ...] = (
    (ObjectKind.VHOST, ObjectKind.USER),
    (ObjectKind.VHOST_LIMIT, ObjectKind.USER_LIMIT, ObjectKind.EXCHANGE, ObjectKind.POLICY, ObjectKind.OPERATOR_POLICY),
    (ObjectKind.QUEUE,),  # after the policies, so that no queue exists without them
    (ObjectKind.BINDING, ObjectKind.TOPIC_PERMISSION),
    (ObjectKind.PERMISSION,),  # last: a right to write without its topic permission would allow every routing key
)
"""The order of creation. Steps of one stage can run concurrently."""

VHOST_FIELDS = ("description", "tags", "default_queue_type", "tracing")
IMMUTABLE = frozenset({ObjectKind.QUEUE, ObjectKind.EXCHANGE})


class Action(Enum):
    CREATE = "+"
    UPDATE = "~"
    DELETE = "-"
    MIGRATE = ">"
    """Only displayed: the messages move into a new queue of the same name, which `Migrator` does, not a step."""
    BLOCKED = "!"


class FieldChange(msgspec.Struct, frozen=True):
    """The difference in one field. None means absent."""

    field: str
    observed: Any
    desired: Any

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.observed)} -> {_shown(self.desired)}"


class PlanStep(msgspec.Struct, frozen=True):
    """One write, or a write that is blocked for `reason`."""

    action: Action
    kind: ObjectKind
    key: Key
    body: Body = {}
    """The desired body. The body of a user holds no password, only the observed hash if it is still correct."""
    changes: tuple[FieldChange, ...] = ()
    reason: str = ""

    @property
    def object(self) -> ObjectId:
        return self.kind, self.key


class Plan(msgspec.Struct, frozen=True):
    """Steps in the order of their execution. True if there is any step."""

    steps: tuple[PlanStep, ...]

    @property
    def writes(self) -> tuple[PlanStep, ...]:
        return tuple(step for step in self.steps if step.action not in {Action.BLOCKED, Action.MIGRATE})

    @property
    def blocked(self) -> tuple[PlanStep, ...]:
        return tuple(step for step in self.steps if step.action is Action.BLOCKED)

    def __bool__(self) -> bool:
        return bool(self.steps)


NEVER_ELECTED = FieldChange("leader", "none (its declaration was interrupted)", "any")


def plan(
    desired: BrokerState,
    observed: BrokerState,
    credentials: Mapping[str, Credentials | None],
    held: frozenset[ObjectId] = frozenset(),
) -> Plan:
    """Returns the steps to the desired state, in order, without the objects in `held`.

    `credentials` has the content of each desired user's Secret; None for a password that is not generated yet.
    """
    steps = [
        step
        for stage in STAGES
        for kind in stage
        for step in _steps(kind, desired[kind], observed[kind], credentials)
        if step.object not in held
    ]
    missing = {
        step.key.name[0]
        for step in steps
        if step.kind is ObjectKind.USER and step.action is Action.BLOCKED and step.key not in observed[ObjectKind.USER]
    }
    for position, step in enumerate(steps):
        user = step.key.name[0]
        if step.kind in USER_OBJECTS and user in missing:
            reason = f"waits for user {user}"
            steps[position] = msgspec.structs.replace(step, action=Action.BLOCKED, reason=reason)
    return Plan(tuple(steps))


def _steps(
    kind: ObjectKind,
    desired: Mapping[Key, Body],
    observed: Mapping[Key, Body],
    credentials: Mapping[str, Credentials | None],
) -> Iterator[PlanStep]:
    for key, body in desired.items():
        there = observed.get(key)
        if kind is ObjectKind.USER:
            step = _user(key, body, there, credentials.get(key.name[0]))
        elif there is None:
            step = PlanStep(Action.CREATE, kind, key, body)
        elif kind is ObjectKind.VHOST:
            step = _vhost(key, body, there)
        else:
            step = _difference(kind, key, body, there)
        if step is not None:
            yield step


def _difference(kind: ObjectKind, key: Key, body: Body, there: Body) -> PlanStep | None:
    if kind is ObjectKind.BINDING:  # its key is all there is to compare
        return None
    if there.get(LEADERLESS):
        return PlanStep(Action.UPDATE, kind, key, body, (NEVER_ELECTED,))
    changes = tuple(_changes(body, there))
    if not changes:
        return None
    if kind in IMMUTABLE:
        reason = f"type and arguments of an existing {kind.value} cannot be changed"
        return PlanStep(Action.BLOCKED, kind, key, body, changes, reason)
    return PlanStep(Action.UPDATE, kind, key, body, changes)


def _vhost(key: Key, body: Body, there: Body) -> PlanStep | None:
    """Compares the desired fields only. The others are sent along: the broker resets what a request omits."""
    changes = tuple(_changes(body, {name: there.get(name) for name in body}))
    kept = {name: there[name] for name in VHOST_FIELDS if there.get(name) is not None}
    return PlanStep(Action.UPDATE, ObjectKind.VHOST, key, {**kept, **body}, changes) if changes else None


def _user(key: Key, body: Body, there: Body | None, credentials: Credentials | None) -> PlanStep | None:
    if credentials is None and not body["generated"]:
        reason = f"secret {body['secret']} does not exist, and credentials: Import generates no password"
        return PlanStep(Action.BLOCKED, ObjectKind.USER, key, body, (), reason)
    if there is None:
        return PlanStep(Action.CREATE, ObjectKind.USER, key, body)
    changes = list(_changes({"tags": body["tags"]}, {"tags": there["tags"]}))
    kept: dict[str, Any] = {}
    if credentials is None:
        changes.append(FieldChange("password", "unknown", f"generated into secret {body['secret']}"))
    elif not credentials.fits(there["password_hash"], there["hashing_algorithm"]):
        changes.append(FieldChange("password", "another", f"as in secret {body['secret']}"))
    else:
        kept = {name: there[name] for name in ("password_hash", "hashing_algorithm")}
    return PlanStep(Action.UPDATE, ObjectKind.USER, key, {**body, **kept}, tuple(changes)) if changes else None


def _changes(desired: Body, observed: Body) -> Iterator[FieldChange]:
    """Yields differences by field, one level into `arguments` and `definition`."""
    for field in [*desired, *(name for name in observed if name not in desired)]:
        ours, theirs = desired.get(field), observed.get(field)
        if isinstance(ours, bool) == isinstance(theirs, bool) and ours == theirs:  # 1 equals 1.0, true is not 1
            continue
        if isinstance(ours, dict) and isinstance(theirs, dict):
            yield from _changes(ours, theirs)
        else:
            yield FieldChange(field, theirs, ours)


def _shown(value: Any) -> str:
    if value is None:
        return "(not set)"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "(none)"
    return str(value).lower() if isinstance(value, bool) else str(value)
