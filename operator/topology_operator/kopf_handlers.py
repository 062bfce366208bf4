"""kopf's settings and handlers. Each handler only calls the controller.

kopf writes no annotation with a copy of the spec, because a large spec would not fit. Peering is off, because several
operators at once do no harm.
"""

from typing import Any

import kopf

from topology_operator.kubernetes.api import Authenticate
from topology_operator.kubernetes.objects import GROUP, PLURAL, VERSION, Body
from topology_operator.reconcile.controller import TopologyController

FINALIZER = f"{GROUP}/topology"

STOP_SECONDS = 5.0
"""Time limit for a reconcile loop to end."""

TOPOLOGIES = (GROUP, VERSION, PLURAL)


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no copy of the spec."""

    def fetch(self, *, body: kopf.Body) -> None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        pass


def kopf_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = FINALIZER
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"progress.{GROUP}")
    settings.posting.loggers = False
    settings.posting.reporting_component = "topology-operator"
    settings.posting.event_name_prefix = "topology-"
    settings.background.instant_exit_timeout = STOP_SECONDS  # the clean-up begins after the loop has ended
    settings.peering.standalone = True
    settings.scanning.disabled = True  # the definition of Topologies exists before kopf starts
    settings.watching.server_timeout = 280  # proxies cut idle connections after five minutes
    return settings


def create_registry(controller: TopologyController, authenticate: Authenticate) -> kopf.OperatorRegistry:
    """Registers the handlers. All are coroutines: kopf calls plain functions in threads, where the controller fails."""
    registry = kopf.OperatorRegistry()
    known: dict[str, dict[str, Any]] = {}

    @kopf.on.login(registry=registry)
    async def on_login(**_: Any) -> kopf.ConnectionInfo:
        return authenticate()

    @kopf.index(*TOPOLOGIES, registry=registry)
    async def on_listed(body: kopf.Body, **_: Any) -> None:
        """Records a peer. kopf indexes every resource before it calls another handler, so all peers are known."""
        controller.peers.put(dict(body))

    @kopf.on.event(*TOPOLOGIES, registry=registry)
    async def on_changed(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        uid, newest = body["metadata"]["uid"], dict(body)
        if type == "DELETED":
            known.pop(uid, None)
            controller.on_gone(newest)
            return
        before = known.get(uid)
        known[uid] = {"metadata": newest["metadata"]}
        if before is None or _user_input(before) != _user_input(newest):
            controller.on_change(newest, before=before)

    @kopf.daemon(
        *TOPOLOGIES,
        registry=registry,
        cancellation_backoff=STOP_SECONDS,
        cancellation_timeout=1.0,
        cancellation_polling=1.0,
    )
    async def on_present(body: kopf.Body, stopped: kopf.DaemonStopped, **_: Any) -> None:
        await controller.run(body, stopped)

    @kopf.on.delete(*TOPOLOGIES, registry=registry)
    async def on_deleted(body: kopf.Body, **_: Any) -> None:
        await controller.clean_up(dict(body))

    return registry


def _user_input(body: Body) -> tuple[Any, ...]:
    """Returns the generation of the spec, the annotations for this operator, and the time of a deletion request.

    A write to the status changes none of them.
    """
    metadata = body["metadata"]
    annotations = {
        name: value for name, value in (metadata.get("annotations") or {}).items() if name.split("/")[0] == GROUP
    }
    return metadata.get("generation"), annotations, metadata.get("deletionTimestamp")
