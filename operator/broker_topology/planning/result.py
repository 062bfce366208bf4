"""What became of a resource at the broker, object by object."""

from __future__ import annotations

from collections import Counter
from enum import Enum

import msgspec

from broker_topology.planning.plan import Plan, PlanStep
from broker_topology.planning.state import Key, ObjectKind


class Status(Enum):
    """The value is the word people read."""

    READY = "Ready"
    PENDING = "Pending"
    """Not written: only a plan was asked for, or something it builds on failed."""
    BLOCKED = "Blocked"
    FAILED = "Failed"
    MIGRATING = "Migrating"
    RETAINED = "Retained"
    """No longer wanted, and kept; the message says why."""
    DELETED = "Deleted"


class ObjectState(msgspec.Struct, frozen=True):
    kind: ObjectKind
    vhost: str
    """Empty for what belongs to the whole broker."""
    name: str
    status: Status
    message: str = ""

    def __str__(self) -> str:
        text = f"{self.kind.value} {self.name}: {self.status.value}"
        return f"{text} ({self.message})" if self.message else text


class TopologyResult(msgspec.Struct, frozen=True):
    """Of one `reconcile` or `finalize`, after the broker was read back."""

    plan: Plan
    """What was found different: carried out, or with `mode: Plan` only found."""
    objects: tuple[ObjectState, ...] = ()
    repaired: tuple[PlanStep, ...] = ()
    """The part of the plan that somebody else's hand had made necessary (drift)."""
    failures: tuple[tuple[str, str], ...] = ()
    """What the broker refused, each with its reason."""
    migrated: tuple[Key, ...] = ()
    """Queues that were given other arguments together with their messages."""
    warnings: tuple[str, ...] = ()
    """What the broker accepts, and what is probably a mistake."""

    @property
    def ready(self) -> bool:
        """Whether the broker holds everything that is asked for. Something kept too long does not hinder it."""
        return all(each.status in {Status.READY, Status.RETAINED, Status.DELETED} for each in self.objects)

    def of(self, *wanted: Status) -> tuple[ObjectState, ...]:
        return tuple(each for each in self.objects if each.status in wanted)

    def summary(self) -> str:
        """`Ready 12, Blocked 1`."""
        counted = Counter(each.status for each in self.objects)
        return ", ".join(f"{status.value} {counted[status]}" for status in Status if counted[status]) or "no objects"
