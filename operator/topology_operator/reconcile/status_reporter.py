"""Reports reconciles as status, event and log line, each only if it states something new."""

from collections.abc import Mapping
from typing import Any, cast

import kopf
import structlog

from broker_topology.planning import rendering
from topology_operator.errors import KubernetesError
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import Body, age_seconds, condition_of, full_name, status_path, timestamp
from topology_operator.reconcile.finalizer import CleanupResult
from topology_operator.reconcile.ready_condition import ReadyCondition
from topology_operator.reconcile.reconciler import ReconcileResult
from topology_operator.reconcile.resource_state import ResourceState
from topology_operator.reconcile.status import build_status, merge_patch

MAX_EVENT_MESSAGE = 1000
"""Kubernetes accepts 1024 characters."""

NORMAL_REASONS = {"OutOfSync", "Migrating"}

log = structlog.get_logger()


class StatusReporter:
    def __init__(self, kubernetes: KubernetesApi, startup_seconds: float) -> None:
        """For `startup_seconds` after the creation of a Topology a failure may mean that its broker is starting."""
        self._kubernetes = kubernetes
        self._startup_seconds = startup_seconds

    async def report(self, body: Body, state: ResourceState, result: ReconcileResult) -> bool:
        """Returns False if the status could not be written."""
        before = state.status
        url = result.connection.url if result.connection is not None else ""
        after = _status(
            body, state, result.ready, address=url, version=result.version, rotations=result.rotations.states
        )
        if result.ready.result is not None:
            state.compared = timestamp()
        self._report_changes(body, result, after)
        self._report_ready(body, state, result.ready, condition_of(before), condition_of(after))
        return await self._patch(body, state, after)

    async def report_pending_cleanup(self, body: Body, state: ResourceState, message: str) -> None:
        if condition_of(state.status).get("reason") != "Deleting":
            _event(body, "Warning", "Deleting", message)
        log.warning("cleanup pending", topology=full_name(body), message=message)
        ready = ReadyCondition(status="False", reason="Deleting", message=message)
        await self._patch(body, state, _status(body, state, ready))

    def report_cleanup(self, body: Body, result: CleanupResult) -> None:
        """Reports as event and log line: the Topology is about to be gone, so there is no status to write."""
        if result.orphaned:
            _event(body, "Warning", "ObjectsOrphaned", result.message)
            log.warning("cleanup abandoned", topology=full_name(body), message=result.message)
        else:
            _event(body, "Normal", "CleanedUp", result.message)
            log.info("cleanup finished", topology=full_name(body), message=result.message)

    def _report_changes(self, body: Body, result: ReconcileResult, after: Mapping[str, Any]) -> None:
        for name in result.generated:
            _event(body, "Normal", "SecretGenerated", f"Secret {name} has a new password")
        for name in result.rotations.switched:
            _event(body, "Normal", "PasswordRotated", f"the Secret of user {name} has the next account")
        if result.ready.result is not None and result.ready.result.repaired:
            for step in result.ready.result.repaired:
                log.warning("drift repaired", topology=full_name(body), object=rendering.title(step))
            _event(body, "Warning", "DriftRepaired", condition_of(after, "Drifted")["message"])

    def _report_ready(self, body: Body, state: ResourceState, ready: ReadyCondition, old: Body, new: Body) -> None:
        changed = any(old.get(part) != new[part] for part in ("status", "reason", "message"))
        good = ready.is_true or ready.paused or ready.reason in NORMAL_REASONS
        age = age_seconds(body["metadata"]["creationTimestamp"])
        starting = ready.retry and not state.was_ready and age < self._startup_seconds
        if changed or (state.warning_due and not starting and not good):
            normal = good or starting
            entry = log.bind(topology=full_name(body), ready=ready.status, reason=ready.reason, message=ready.message)
            (entry.info if normal else entry.warning)("reconciled")
            _event(body, "Normal" if normal else "Warning", ready.reason, ready.message)
        state.warning_due = starting

    async def _patch(self, body: Body, state: ResourceState, after: dict[str, Any]) -> bool:
        if patch := merge_patch(state.status, after):
            try:
                held = await self._kubernetes.patch(status_path(body), {"status": patch})
            except KubernetesError as exc:
                log.warning("status update failed", topology=full_name(body), reason=str(exc))
                return False
            state.status = after if held is None else dict(held.get("status") or {})
        return True


def _status(body: Body, state: ResourceState, ready: ReadyCondition, **parts: Any) -> dict[str, Any]:
    generation = body["metadata"].get("generation", 1)
    return build_status(ready, state.status, generation=generation, now=timestamp(), compared=state.compared, **parts)


def _event(body: Body, kind: str, reason: str, message: str) -> None:
    text = message if len(message) <= MAX_EVENT_MESSAGE else message[: MAX_EVENT_MESSAGE - 1] + "…"
    kopf.event(kopf.Body(cast(kopf.RawBody, dict(body))), type=kind, reason=reason, message=text)
