"""What one try at a resource came to, in the words of its conditions. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from broker_topology.errors import (
    AccessDenied,
    ApplyIncomplete,
    BrokerError,
    BrokerUnreachable,
    BrokerVersionUnsupported,
    CertificateRefused,
    InvalidTopology,
    NotRabbitMQ,
    OwnershipConflict,
    SecretError,
    TopologyError,
)
from broker_topology.planning import rendering
from broker_topology.planning.result import Status, TopologyResult
from topology_operator.errors import ApiServerUnreachable, KubernetesError, OperatorError, UnresolvedReference

Truth = Literal["True", "False", "Unknown"]


class ReadyCondition(msgspec.Struct, frozen=True, kw_only=True):
    ready: Truth
    reason: str
    """One word for the Ready condition; machines compare it."""
    message: str
    """One sentence, or a few lines, for people. Never holds a credential."""
    outcome: TopologyResult | None = None
    """What the engine found; None when it did not come that far."""
    blocked: str = ""
    """What stands in the way for good, until somebody decides."""
    failed: bool = False
    """Whether to try again sooner than at the next comparison."""
    moving: bool = False
    """Whether a migration goes on with the next look."""
    paused: bool = False
    plan_only: bool = False


PAUSED = ReadyCondition(
    ready="Unknown",
    reason="Paused",
    message="the annotation warren.dev/paused is set: the broker is neither compared nor changed",
    paused=True,
)

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (OwnershipConflict, "Conflict"),
    (InvalidTopology, "Invalid"),
    (SecretError, "SecretUnusable"),
    (BrokerUnreachable, "BrokerUnreachable"),
    (CertificateRefused, "CertificateRefused"),
    (AccessDenied, "AccessRefused"),
    (NotRabbitMQ, "NotRabbitMQ"),
    (BrokerVersionUnsupported, "BrokerTooOld"),
    (ApplyIncomplete, "Failed"),
    (BrokerError, "BrokerRefused"),
    (TopologyError, "Failed"),
    (ApiServerUnreachable, "KubernetesUnreachable"),
    (KubernetesError, "KubernetesRefused"),
)
UNKNOWN = frozenset(
    {
        "BrokerUnreachable",
        "AccessRefused",
        "CertificateRefused",
        "NotRabbitMQ",
        "BrokerRefused",
        "KubernetesUnreachable",
    }
)
"""The broker may hold the spec or not: it could not be read."""

PERMANENT = frozenset({"Invalid", "Conflict", "BrokerNotSet", "NamespaceNotAllowed"})
"""Trying again changes nothing before somebody changes something; that is noticed."""


def of_outcome(outcome: TopologyResult, *, plan_only: bool) -> ReadyCondition:
    """The broker answered."""
    blocked = "; ".join(_told(each.kind.value, each.name, each.message) for each in outcome.of(Status.BLOCKED))
    held = len(outcome.of(Status.READY))
    if outcome.ready:
        return ReadyCondition(
            ready="True",
            reason="Held",
            message="the broker was read back and holds what the spec asks for: " + _objects(held),
            outcome=outcome,
            plan_only=plan_only,
        )
    if plan_only:
        summary = rendering.summary(outcome.plan)
        return ReadyCondition(
            ready="False",
            reason="Planned",
            message=f"{summary}; mode Plan writes nothing, mode Enforce does",
            outcome=outcome,
            blocked=blocked,
            plan_only=True,
        )
    failures = "; ".join(f"{step}: {reason}" for step, reason in outcome.failures)
    migrating = outcome.of(Status.MIGRATING)
    if failures:
        reason, message = "Failed", failures
    elif migrating:
        reason = "Migrating"
        message = "; ".join(_told(each.kind.value, each.name, each.message) for each in migrating)
    elif blocked:
        reason, message = "Blocked", blocked
    else:
        reason, message = "Pending", outcome.summary()
    return ReadyCondition(
        ready="False",
        reason=reason,
        message=message,
        outcome=outcome,
        blocked=blocked,
        failed=reason in {"Failed", "Pending"},
        moving=reason == "Migrating",
    )


def of_error(error: Exception) -> ReadyCondition:
    """It did not come to an answer. An error that is not expected is a fault of this code; its text stays in the log,
    since nobody can say what is in it."""
    if not isinstance(error, EXPECTED):
        message = f"a fault of the operator ({type(error).__name__}), see its log; it tries again"
        return ReadyCondition(ready="Unknown", reason="InternalError", message=message, failed=True)
    if isinstance(error, UnresolvedReference):
        reason = error.reason
    else:
        reason = next((word for kind, word in _REASONS if isinstance(error, kind)), "Failed")
    return ReadyCondition(
        ready="Unknown" if reason in UNKNOWN else "False",
        reason=reason,
        message=str(error),
        blocked=str(error) if isinstance(error, OwnershipConflict) else "",
        failed=reason not in PERMANENT,
    )


EXPECTED = (TopologyError, OperatorError)
"""The errors that `of_error` takes."""


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def _told(kind: str, name: str, message: str) -> str:
    return f"{kind} {name}: {message}"
