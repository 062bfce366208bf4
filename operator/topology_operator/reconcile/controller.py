"""Keeps every resource worked on: at once when something it depends on changes, and every `resyncSeconds` otherwise.

One loop for each resource. Any number of operators may run at the same time: each look compares before it writes, what
is written is idempotent, and two that write the same status write the same words.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import kopf
import structlog

from broker_topology.planning import rendering
from topology_operator.errors import KubernetesError
from topology_operator.kubernetes.api import KubernetesApi, path_of
from topology_operator.kubernetes.identifiers import API_VERSION, PLURAL
from topology_operator.kubernetes.timestamps import age_seconds, now
from topology_operator.kubernetes.watches import ObjectWatches
from topology_operator.observability.metrics import OperatorMetrics
from topology_operator.reconcile.finalizer import CleanupPending, CleanupResult, Finalizer
from topology_operator.reconcile.peer_topologies import Body, PeerTopologies, ResourceKey, key_of
from topology_operator.reconcile.ready_condition import ReadyCondition
from topology_operator.reconcile.reconciler import Reconciler, ReconcileResult
from topology_operator.reconcile.resource_state import ResourceState
from topology_operator.reconcile.status import merge_patch, status_of
from topology_operator.settings import TopologyOperatorSettings

MAX_EVENT = 1000  # Kubernetes takes 1024 characters
DEFAULT_RESYNC_SECONDS = 60
MIGRATION_SECONDS = 2.0

T = TypeVar("T")

log = structlog.get_logger()


class TopologyController:
    def __init__(self, kubernetes: KubernetesApi, settings: TopologyOperatorSettings, metrics: OperatorMetrics) -> None:
        self._kubernetes = kubernetes
        self._settings = settings
        self._metrics = metrics
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._desks: dict[ResourceKey, ResourceState] = {}
        self.neighbours = PeerTopologies(kubernetes)
        self.watches = ObjectWatches(kubernetes, self.wake)
        self._reconciler = Reconciler(kubernetes, self.neighbours, quiet_seconds=settings.quiet_seconds)
        self._releaser = Finalizer(kubernetes, settings.release_seconds, quiet_seconds=settings.quiet_seconds)

    def wake(self, key: ResourceKey, why: str) -> None:
        """Look at this resource now."""
        if (desk := self._desks.get(key)) is not None:
            log.debug("woken", topology="/".join(key), why=why)
            desk.wake.set()

    def changed(self, body: Body, *, before: Body | None) -> None:
        """A Topology is new, has another spec or other annotations, or goes: it and those that wait for it look."""
        key = key_of(body)
        self.wake(key, "the resource changed")
        if before is None or before["metadata"].get("generation") != body["metadata"].get("generation"):
            self._wake_waiting(key)

    def gone(self, body: Body) -> None:
        self._wake_waiting(key_of(body))
        self.neighbours.drop(body)

    async def run(self, body: Body, stopped: kopf.DaemonStopped) -> None:
        """Until the resource is deleted or the operator ends. `body` is always the newest one.

        Ends at once, in the middle of a look too: the next one, or the clean-up, goes on from there.
        """
        key = key_of(body)
        desk = self._desk(body)
        until_stopped = asyncio.ensure_future(stopped.wait())
        try:
            while not stopped:
                desk.wake.clear()
                wait = await _unless(until_stopped, self._turn(key, desk, body))
                if wait is not None:
                    await _unless(until_stopped, _woken(desk.wake, wait))
        finally:
            until_stopped.cancel()
            self.watches.forget(key)

    async def _turn(self, key: ResourceKey, desk: ResourceState, body: Body) -> float:
        async with self._slots, desk.lock:
            return await self._look(key, desk, dict(body))

    async def release(self, body: Body) -> None:
        """Cleans up after a deleted resource. Raises kopf's TemporaryError while that is still to be done."""
        key, desk = key_of(body), self._desk(body)
        async with desk.lock:
            try:
                released = await self._releaser.release(body, desk.connection)
            except CleanupPending as exc:
                await self._say_waiting(body, desk, str(exc))
                wait = desk.failed(self._settings.retry_seconds, self._settings.retry_max_seconds)
                raise kopf.TemporaryError(str(exc), delay=wait) from exc
            self._say_released(body, released)
        if self._desks.get(key) is desk:
            del self._desks[key]
        self._metrics.drop(key)

    def _desk(self, body: Body) -> ResourceState:
        key, uid = key_of(body), body["metadata"]["uid"]
        desk = self._desks.get(key)
        if desk is None or desk.uid != uid:
            desk = self._desks[key] = ResourceState(uid, body.get("status") or {})
        return desk

    async def _look(self, key: ResourceKey, desk: ResourceState, body: Body) -> float:
        """One look, and what follows from it. Returns the seconds until the next one."""
        began = time.monotonic()
        look = await self._reconciler.look(body)
        verdict = look.verdict
        self.watches.follow(key, look.seen)
        self._metrics.took(verdict.reason, time.monotonic() - began)
        self._metrics.reconciled(key, verdict.outcome, ready=verdict.ready == "True")
        if look.connection is not None and look.answered is not None:
            self._metrics.reached(look.connection.url, answered=look.answered)
            desk.connection = look.connection if look.answered else desk.connection or look.connection
        if verdict.outcome is not None and verdict.outcome.plan.writes and not verdict.plan_only:
            self._wake_waiting(key)
        desk.ready = verdict.ready == "True"
        desk.was_ready = desk.was_ready or desk.ready
        written = await self._write(key, desk, body, look)
        if verdict.failed or not written:
            return desk.failed(self._settings.retry_seconds, self._settings.retry_max_seconds)
        desk.succeeded()
        if verdict.moving:
            return MIGRATION_SECONDS
        if look.rotations.switched:
            return 0.0
        resync = float((body.get("spec") or {}).get("resyncSeconds", DEFAULT_RESYNC_SECONDS))
        wait = resync * random.uniform(0.9, 1.0)  # noqa: S311 - spreads load, guards nothing
        if look.rotations.next_look is not None:
            wait = min(wait, max(1.0, (look.rotations.next_look - datetime.now(UTC)).total_seconds()))
        return wait

    async def _write(self, key: ResourceKey, desk: ResourceState, body: Body, look: ReconcileResult) -> bool:
        """Status, events and a log line, each only where it says something new."""
        before = desk.status
        after = status_of(
            look.verdict,
            before,
            generation=body["metadata"].get("generation", 1),
            now=now(),
            address=look.connection.url if look.connection is not None else "",
            version=look.version,
            rotations=look.rotations.states,
            compared=desk.compared,
        )
        if look.verdict.outcome is not None:
            desk.compared = now()
        self._tell(desk, body, look, before, after)
        return await self._patch(key, desk, after)

    async def _patch(self, key: ResourceKey, desk: ResourceState, after: dict[str, Any]) -> bool:
        patch = merge_patch(desk.status, after)
        if not patch:
            return True
        try:
            held = await self._kubernetes.patch(_path(key), {"status": patch})
        except KubernetesError as exc:
            log.warning("the status cannot be written", topology="/".join(key), reason=str(exc))
            return False
        desk.status = after if held is None else dict(held.get("status") or {})
        return True

    def _tell(
        self,
        desk: ResourceState,
        body: Body,
        look: ReconcileResult,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
    ) -> None:
        verdict, where = look.verdict, "/".join(key_of(body))
        for name in look.made:
            _event(body, "Normal", "SecretGenerated", f"Secret {name} holds a new password")
        for name in look.rotations.switched:
            _event(body, "Normal", "PasswordRotated", f"the Secret of user {name} names its next account")
        if verdict.outcome is not None:
            for step in verdict.outcome.repaired:
                log.warning("drift repaired", topology=where, object=rendering.title(step))
            if verdict.outcome.repaired:
                _event(body, "Warning", "DriftRepaired", _ready_of(after, "Drifted")["message"])
        old, new = _ready_of(before), _ready_of(after)
        changed = any(old.get(part) != new[part] for part in ("status", "reason", "message"))
        good = verdict.ready == "True" or verdict.paused or verdict.reason in {"Planned", "Migrating"}
        early = verdict.failed and self._is_early(desk, body)
        if changed or (desk.warning_due and not early and not good):
            calm = good or early
            (log.info if calm else log.warning)(
                "looked", topology=where, ready=verdict.ready, reason=verdict.reason, message=verdict.message
            )
            _event(body, "Normal" if calm else "Warning", verdict.reason, verdict.message)
        desk.warning_due = early

    def _is_early(self, desk: ResourceState, body: Body) -> bool:
        """Whether the broker of a new resource may still be starting."""
        age = age_seconds(body["metadata"]["creationTimestamp"])
        return not desk.was_ready and age < self._settings.startup_seconds

    async def _say_waiting(self, body: Body, desk: ResourceState, message: str) -> None:
        if _ready_of(desk.status).get("reason") != "Releasing":
            _event(body, "Warning", "Releasing", message)
        log.warning("not released yet", topology="/".join(key_of(body)), message=message)
        after = status_of(
            ReadyCondition(ready="False", reason="Releasing", message=message),
            desk.status,
            generation=body["metadata"].get("generation", 1),
            now=now(),
            compared=desk.compared,
        )
        await self._patch(key_of(body), desk, after)

    def _say_released(self, body: Body, released: CleanupResult) -> None:
        kind = "Normal" if released.clean else "Warning"
        _event(body, kind, "Released" if released.clean else "LeftBehind", released.message)
        (log.info if released.clean else log.warning)(
            "released", topology="/".join(key_of(body)), message=released.message
        )

    def _wake_waiting(self, key: ResourceKey) -> None:
        """Those at the same broker that are not ready: what they miss may have come."""
        for other in self.neighbours.known_at(key):
            if (desk := self._desks.get(other)) is not None and not desk.ready:
                self.wake(other, f"Topology {'/'.join(key)} changed")


def _path(key: ResourceKey) -> str:
    return path_of(API_VERSION, PLURAL, *key, "status")


def _ready_of(status: Mapping[str, Any], kind: str = "Ready") -> Mapping[str, Any]:
    return next((each for each in status.get("conditions") or () if each["type"] == kind), {})


def _event(body: Body, kind: str, reason: str, message: str) -> None:
    text = message if len(message) <= MAX_EVENT else message[: MAX_EVENT - 1] + "…"
    kopf.event(kopf.Body(cast(kopf.RawBody, dict(body))), type=kind, reason=reason, message=text)


async def _unless(stopped: asyncio.Future[Any], work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` comes to; None, and `work` cut off, when it is stopped before."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _woken(wake: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(wake.wait(), seconds)
