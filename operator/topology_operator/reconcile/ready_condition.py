"""The Ready condition of a Topology, from the engine's result or from an error. Pure."""

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
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from topology_operator.errors import (
    ApiServerUnreachable,
    Forbidden,
    KubernetesError,
    OperatorError,
    UnresolvedReference,
)
from topology_operator.reconcile.topology_resource import PAUSED

ConditionStatus = Literal["True", "False", "Unknown"]


class ReadyCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Status, reason and message as Kubernetes defines them, and what follows from them for the operator."""

    status: ConditionStatus
    reason: str
    message: str
    """Never holds a credential."""
    result: TopologyResult | None = None
    """What the engine found; None if it was not reached."""
    blocked_by: str = ""
    """What a person has to decide or change before the operator can continue."""
    retry: bool = False
    """Whether to try again with backoff, before the next comparison is due."""
    migrating: bool = False
    paused: bool = False
    plan_only: bool = False

    @property
    def is_true(self) -> bool:
        return self.status == "True"


PAUSED_CONDITION = ReadyCondition(
    status="Unknown",
    reason="Paused",
    message=f"the annotation {PAUSED} is set: the broker is neither compared nor changed",
    paused=True,
)

REASONS: tuple[tuple[type[Exception], str], ...] = (
    (OwnershipConflict, "Conflict"),
    (InvalidTopology, "InvalidSpec"),
    (SecretError, "SecretInvalid"),
    (BrokerUnreachable, "BrokerUnreachable"),
    (CertificateRefused, "CertificateRefused"),
    (AccessDenied, "AccessDenied"),
    (NotRabbitMQ, "NotRabbitMQ"),
    (BrokerVersionUnsupported, "BrokerVersionUnsupported"),
    (ApplyIncomplete, "ApplyFailed"),
    (BrokerError, "BrokerError"),
    (TopologyError, "ApplyFailed"),
    (ApiServerUnreachable, "ApiServerUnreachable"),
    (Forbidden, "Forbidden"),
    (KubernetesError, "ApiServerError"),
)
"""The first class that an error is an instance of decides its reason."""

UNKNOWN = frozenset(
    {
        "BrokerUnreachable",
        "AccessDenied",
        "CertificateRefused",
        "NotRabbitMQ",
        "BrokerError",
        "ApiServerUnreachable",
    }
)
"""Reasons with status Unknown: the broker could not be read, so it may match the spec."""

PERMANENT = frozenset({"InvalidSpec", "Conflict", "BrokerNotSet", "NamespaceNotAllowed"})
"""Reasons that a retry cannot cure. The change that cures them starts a reconcile."""

EXPECTED_ERRORS = (TopologyError, OperatorError)


def from_result(result: TopologyResult, *, plan_only: bool) -> ReadyCondition:
    blocked = _listed(result.of(Status.BLOCKED))
    failures = "; ".join(f"{step}: {reason}" for step, reason in result.failures)
    status: ConditionStatus = "True" if result.ready else "False"
    if result.ready:
        count = len(result.of(Status.READY))
        reason = "Synced"
        message = f"the broker was read back and matches the spec: {count} object{'' if count == 1 else 's'}"
    elif plan_only:
        reason = "OutOfSync"
        message = f"{rendering.summary(result.plan)}; mode Plan writes nothing, mode Enforce does"
    elif failures:
        reason, message = "ApplyFailed", failures
    elif migrating := result.of(Status.MIGRATING):
        reason, message = "Migrating", _listed(migrating)
    elif blocked:
        reason, message = "Blocked", blocked
    else:
        reason, message = "Progressing", result.summary()
    return ReadyCondition(
        status=status,
        reason=reason,
        message=message,
        result=result,
        blocked_by="" if result.ready else blocked,
        retry=reason in {"ApplyFailed", "Progressing"},
        migrating=reason == "Migrating",
        plan_only=plan_only,
    )


def from_error(error: Exception) -> ReadyCondition:
    """The text of an unexpected error may hold anything, so it appears in the log only."""
    if not isinstance(error, EXPECTED_ERRORS):
        message = f"internal error of the operator ({type(error).__name__}), see its log; it tries again"
        return ReadyCondition(status="Unknown", reason="InternalError", message=message, retry=True)
    if isinstance(error, UnresolvedReference):
        reason = error.reason
    else:
        reason = next((reason for kind, reason in REASONS if isinstance(error, kind)), "ApplyFailed")
    return ReadyCondition(
        status="Unknown" if reason in UNKNOWN else "False",
        reason=reason,
        message=str(error),
        blocked_by=str(error) if isinstance(error, OwnershipConflict) else "",
        retry=reason not in PERMANENT,
    )


def _listed(objects: tuple[ObjectState, ...]) -> str:
    return "; ".join(f"{each.kind.value} {each.name}: {each.message}" for each in objects)
