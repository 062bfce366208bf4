"""The Ready condition of a Topology, from the engine's result or from an error. Pure."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from broker_topology import errors as engine_errors
from broker_topology.planning import rendering
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from topology_operator import errors
from topology_operator.reconcile.topology_resource import PAUSED

ConditionStatus = Literal["True", "False", "Unknown"]


class ReadyCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Status, reason and message as Kubernetes defines them, and what follows from them for the operator."""

    status: ConditionStatus
    reason: str
    message: str
    """Never holds a credential."""
    result: TopologyResult | None = None
    """The engine's result; None if it returned none."""
    blocked_by: str = ""
    """The decision or change by a person that the operator waits for."""
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

REASONS: Mapping[type[Exception], tuple[str, ConditionStatus]] = {
    engine_errors.TopologyError: ("ApplyFailed", "False"),
    engine_errors.ApplyIncomplete: ("ApplyFailed", "False"),
    engine_errors.OwnershipConflict: ("Conflict", "False"),
    engine_errors.InvalidTopology: ("InvalidSpec", "False"),
    engine_errors.SecretError: ("SecretInvalid", "False"),
    engine_errors.BrokerError: ("BrokerError", "Unknown"),
    engine_errors.BrokerUnreachable: ("BrokerUnreachable", "Unknown"),
    engine_errors.CertificateRefused: ("CertificateRefused", "Unknown"),
    engine_errors.AccessDenied: ("AccessDenied", "Unknown"),
    engine_errors.NotRabbitMQ: ("NotRabbitMQ", "Unknown"),
    engine_errors.BrokerVersionUnsupported: ("BrokerVersionUnsupported", "False"),
    errors.OperatorError: ("ApplyFailed", "False"),
    errors.KubernetesError: ("ApiServerError", "False"),
    errors.ApiServerUnreachable: ("ApiServerUnreachable", "Unknown"),
    errors.Forbidden: ("Forbidden", "False"),
}
"""Reason and status of an error, by its nearest class. Unknown: the broker could not be read and may match the spec."""

PERMANENT = frozenset({"InvalidSpec", "Conflict", "BrokerNotSet", "NamespaceNotAllowed"})
"""Reasons that a retry cannot cure. The change that cures them starts a reconcile."""

EXPECTED_ERRORS = (engine_errors.TopologyError, errors.OperatorError)


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
    """Returns the condition for an error. The text of an unexpected error may hold anything, so only the log has it."""
    if not isinstance(error, EXPECTED_ERRORS):
        message = f"internal error of the operator ({type(error).__name__}), see its log; it tries again"
        return ReadyCondition(status="Unknown", reason="InternalError", message=message, retry=True)
    reason, status = next(REASONS[kind] for kind in type(error).__mro__ if kind in REASONS)
    if isinstance(error, errors.UnresolvedReference):
        reason = error.reason
    return ReadyCondition(
        status=status,
        reason=reason,
        message=str(error),
        blocked_by=str(error) if isinstance(error, engine_errors.OwnershipConflict) else "",
        retry=reason not in PERMANENT,
    )


def _listed(objects: tuple[ObjectState, ...]) -> str:
    return "; ".join(f"{each.kind.value} {each.name}: {each.message}" for each in objects)
