"""The result of reconciling or finalizing a topology, object by object."""

from collections import Counter
from enum import Enum

import msgspec

from broker_topology.planning.plan import Plan, PlanStep
from broker_topology.planning.state import Key, ObjectId, ObjectKind, display_name


class Status(Enum):
    """The status of one object; the value is the word that users read."""

    READY = "Ready"
    PENDING = "Pending"
    """Not written: only a plan was requested, or an object that it depends on failed."""
    BLOCKED = "Blocked"
    FAILED = "Failed"
    MIGRATING = "Migrating"
    RETAINED = "Retained"
    """No longer declared, and kept for the reason in the message."""
    DELETED = "Deleted"


class ObjectState(msgspec.Struct, frozen=True):
    """The status of one object; `vhost` is empty for objects of the whole broker."""

    kind: ObjectKind
    vhost: str
    name: str
    status: Status
    message: str = ""

    @classmethod
    def of(cls, each: ObjectId, status: Status, message: str = "") -> "ObjectState":
        kind, key = each
        return cls(kind, key.vhost, display_name(kind, key), status, message)

    def __str__(self) -> str:
        text = f"{self.kind.value} {self.name}: {self.status.value}"
        return f"{text} ({self.message})" if self.message else text


class TopologyResult(msgspec.Struct, frozen=True):
    """The result of one `reconcile` or `finalize`, after the broker was read again."""

    plan: Plan
    """The steps from the observed to the desired state. They were executed, unless only a plan was requested."""
    objects: tuple[ObjectState, ...] = ()
    repaired: tuple[PlanStep, ...] = ()
    """The steps of the plan that repair drift: changes that were made at the broker by other clients."""
    failures: tuple[tuple[str, str], ...] = ()
    """The steps that the broker refused, each with its reason."""
    skipped: tuple[tuple[str, str], ...] = ()
    """The steps that were not tried, each with the missing object that it depends on."""
    migrated: tuple[Key, ...] = ()
    """Queues whose migration to other arguments is complete."""
    warnings: tuple[str, ...] = ()
    """The findings that are no errors."""
    undeclared_bindings: tuple[str, ...] = ()
    """Only for a run without owner: bindings of declared queues that exist at the broker and in no file. They stay."""

    @property
    def ready(self) -> bool:
        """Whether the broker holds every desired object. Retained objects do not count against it."""
        return all(each.status in {Status.READY, Status.RETAINED, Status.DELETED} for each in self.objects)

    def of(self, *statuses: Status) -> tuple[ObjectState, ...]:
        return tuple(each for each in self.objects if each.status in statuses)

    def summary(self) -> str:
        """Returns counts by status: `Ready 12, Blocked 1`."""
        counted = Counter(each.status for each in self.objects)
        return ", ".join(f"{status.value} {counted[status]}" for status in Status if counted[status]) or "no objects"
