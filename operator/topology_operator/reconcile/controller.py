"""Schedules reconciles: at once when something that a Topology depends on changes, else every `resyncSeconds`.

Each Topology has one loop. Several operators may run at the same time: each reconcile compares before it writes, writes
are idempotent, and two operators that write a status write the same.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

import kopf
import structlog

from topology_operator.errors import CleanupPending
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import Body, ResourceKey, key_of
from topology_operator.kubernetes.watches import ObjectWatches
from topology_operator.observability.metrics import OperatorMetrics
from topology_operator.reconcile.finalizer import Finalizer
from topology_operator.reconcile.peer_topologies import PeerTopologies
from topology_operator.reconcile.reconciler import Reconciler
from topology_operator.reconcile.resource_state import ResourceState
from topology_operator.reconcile.status_reporter import StatusReporter
from topology_operator.settings import TopologyOperatorSettings

DEFAULT_RESYNC_SECONDS = 60
MIGRATION_POLL_SECONDS = 2.0

T = TypeVar("T")

log = structlog.get_logger()


class TopologyController:
    def __init__(self, kubernetes: KubernetesApi, settings: TopologyOperatorSettings, metrics: OperatorMetrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._states: dict[ResourceKey, ResourceState] = {}
        self.peers = PeerTopologies(kubernetes)
        self.watches = ObjectWatches(kubernetes, self.request_reconcile)
        self._reporter = StatusReporter(kubernetes, settings.broker_startup_seconds)
        self._reconciler = Reconciler(kubernetes, self.peers, quiet_seconds=settings.quiet_seconds)
        self._finalizer = Finalizer(kubernetes, settings.cleanup_timeout_seconds, quiet_seconds=settings.quiet_seconds)

    def request_reconcile(self, key: ResourceKey, cause: str) -> None:
        if (state := self._states.get(key)) is not None:
            log.debug("reconcile requested", topology="/".join(key), cause=cause)
            state.requested.set()

    def on_change(self, body: Body, *, before: Body | None) -> None:
        """Handles a new Topology, a change of its spec or annotations, and the beginning of its deletion."""
        self.request_reconcile(key_of(body), "the resource changed")
        if before is None or before["metadata"].get("generation") != body["metadata"].get("generation"):
            self._request_unready_peers(key_of(body))

    def on_gone(self, body: Body) -> None:
        self._request_unready_peers(key_of(body))
        self.peers.drop(body)

    async def run(self, body: Body, stopped: kopf.DaemonStopped) -> None:
        """Reconciles until the Topology is deleted or the operator stops. kopf keeps `body` up to date.

        A stop interrupts a reconcile; the next reconcile, or the clean-up, continues from there.
        """
        key, state = key_of(body), self._state(body)
        until_stopped = asyncio.ensure_future(stopped.wait())
        try:
            while not stopped:
                state.requested.clear()
                seconds = await _run_unless(until_stopped, self._reconcile_when_free(key, state, body))
                if seconds is not None:
                    await _run_unless(until_stopped, _wait_for(state.requested, seconds))
        finally:
            until_stopped.cancel()
            self.watches.set_dependencies(key, {})

    async def clean_up(self, body: Body) -> None:
        """Cleans up after a deleted Topology. Raises kopf's TemporaryError while the clean-up is pending."""
        key, state = key_of(body), self._state(body)
        async with state.lock:
            try:
                result = await self._finalizer.clean_up(body, state.connection)
            except CleanupPending as exc:
                await self._reporter.report_pending_cleanup(body, state, str(exc))
                raise kopf.TemporaryError(str(exc), delay=self._next_retry(state)) from exc
            self._reporter.report_cleanup(body, result)
        if self._states.get(key) is state:
            del self._states[key]
        self._metrics.drop(key)

    def _state(self, body: Body) -> ResourceState:
        key, uid = key_of(body), body["metadata"]["uid"]
        state = self._states.get(key)
        if state is None or state.uid != uid:
            state = self._states[key] = ResourceState(uid, body.get("status") or {})
        return state

    async def _reconcile_when_free(self, key: ResourceKey, state: ResourceState, body: Body) -> float:
        async with self._slots, state.lock:
            return await self._reconcile(key, state, dict(body))

    async def _reconcile(self, key: ResourceKey, state: ResourceState, body: Body) -> float:
        """Returns the seconds until the next reconcile."""
        began = time.monotonic()
        found = await self._reconciler.reconcile(body)
        ready, result = found.ready, found.ready.result
        self.watches.set_dependencies(key, found.observed)
        self._metrics.record_duration(ready.reason, time.monotonic() - began)
        self._metrics.record_result(key, result, ready=ready.is_true)
        if found.connection is not None and found.reachable is not None:
            self._metrics.record_reachable(found.connection.url, reachable=found.reachable)
            if found.reachable or state.connection is None:
                state.connection = found.connection
        if result is not None and result.plan.writes and not ready.plan_only:
            self._request_unready_peers(key)
        state.ready = ready.is_true
        state.was_ready = state.was_ready or state.ready
        written = await self._reporter.report(body, state, found)
        if ready.retry or not written:
            return self._next_retry(state)
        state.reset_backoff()
        if ready.migrating:
            return MIGRATION_POLL_SECONDS
        if found.rotations.switched:
            return 0.0
        resync = float((body.get("spec") or {}).get("resyncSeconds", DEFAULT_RESYNC_SECONDS))
        wait = resync * random.uniform(0.9, 1.0)  # noqa: S311 - spreads load, guards nothing
        if (due := found.rotations.next_look) is not None:
            wait = min(wait, max(1.0, (due - datetime.now(UTC)).total_seconds()))
        return wait

    def _next_retry(self, state: ResourceState) -> float:
        return state.next_retry(self._settings.retry_seconds, self._settings.retry_max_seconds)

    def _request_unready_peers(self, key: ResourceKey) -> None:
        """Requests a reconcile of unready Topologies at the same broker: an object that they wait for may exist now."""
        for peer in self.peers.possible_peers_of(key):
            if (state := self._states.get(peer)) is not None and not state.ready:
                self.request_reconcile(peer, f"Topology {'/'.join(key)} changed")


async def _run_unless(stopped: asyncio.Future[Any], work: Coroutine[Any, Any, T]) -> T | None:
    """Returns the result of `work`; None, after cancelling `work`, if `stopped` completes first."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
