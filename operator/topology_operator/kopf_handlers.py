"""What kopf calls. Thin: everything is done by the worker.

kopf's own bookkeeping is switched off where it would write to the resource: no annotation repeats the spec (it could
not hold a large one, and there is nothing to compare with). No peering is needed, because two operators do no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf

from topology_operator.kubernetes.api import Connect
from topology_operator.kubernetes.identifiers import FINALIZER, GROUP, PLURAL, VERSION
from topology_operator.reconcile.controller import TopologyController

STOP_SECONDS = 5.0
"""How long a loop may take to end; it is cut off in an instant, unless the process hangs."""

Body = Mapping[str, Any]


class NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no copy of the spec."""

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def configured(settings: kopf.OperatorSettings) -> kopf.OperatorSettings:
    settings.persistence.finalizer = FINALIZER
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"progress.{GROUP}")
    settings.posting.loggers = False
    settings.posting.reporting_component = "topology-operator"
    settings.posting.event_name_prefix = "topology-"
    settings.background.instant_exit_timeout = STOP_SECONDS  # a deletion goes on once the loop has ended
    settings.peering.standalone = True
    settings.scanning.disabled = True  # the one kind it watches is there before it starts
    settings.watching.server_timeout = 280  # below the five minutes at which proxies cut idle connections
    return settings


def registered(worker: TopologyController, connect: Connect) -> kopf.OperatorRegistry:
    """The handlers, in a registry of their own.

    All of them are coroutines: kopf calls plain functions in threads, where nothing of the worker may be touched.
    """
    registry = kopf.OperatorRegistry()
    seen: dict[str, dict[str, Any]] = {}

    @kopf.on.login(registry=registry)
    async def on_login(**_: Any) -> kopf.ConnectionInfo:
        return connect()

    @kopf.index(GROUP, VERSION, PLURAL, registry=registry)
    async def on_listed(body: kopf.Body, **_: Any) -> None:
        """kopf runs no other handler before every resource has been here once: neighbours are known from the start."""
        worker.neighbours.put(dict(body))

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def on_changed(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        uid, newest = body["metadata"]["uid"], dict(body)
        if type == "DELETED":
            seen.pop(uid, None)
            worker.gone(newest)
            return
        before = seen.get(uid)
        seen[uid] = {"metadata": newest["metadata"]}
        if before is None or _asked(before) != _asked(newest):
            worker.changed(newest, before=before)

    @kopf.daemon(
        GROUP,
        VERSION,
        PLURAL,
        registry=registry,
        cancellation_backoff=STOP_SECONDS,
        cancellation_timeout=1.0,
        cancellation_polling=1.0,
    )
    async def on_present(body: kopf.Body, stopped: kopf.DaemonStopped, **_: Any) -> None:
        await worker.run(body, stopped)

    @kopf.on.delete(GROUP, VERSION, PLURAL, registry=registry)
    async def on_deleted(body: kopf.Body, **_: Any) -> None:
        await worker.release(dict(body))

    return registry


def _asked(body: Body) -> tuple[Any, ...]:
    """What people change: the spec and the annotations for this operator. Its own writes to the status are neither."""
    metadata = body["metadata"]
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name.split("/")[0] == GROUP
    }
    return metadata.get("generation"), annotations, metadata.get("deletionTimestamp")
