"""One look at one resource: what it refers to, what the engine makes of it, and the verdict. Keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import structlog

from broker_topology.migration.migrator import Migrator
from broker_topology.reconciliation.reconcile import reconcile
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.rotator import RotationStatus, Rotator
from topology_operator.broker.connection import BrokerConnection
from topology_operator.broker.management_client import opened
from topology_operator.broker.resolver import BrokerResolver, ObservedVersions
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.identifiers import PAUSED
from topology_operator.kubernetes.secret_store import KubernetesSecretStore
from topology_operator.reconcile import ready_condition
from topology_operator.reconcile.peer_topologies import Body, PeerTopologies, key_of, loaded
from topology_operator.reconcile.ready_condition import EXPECTED, ReadyCondition
from topology_operator.reconcile.rotation_requests import requested

log = structlog.get_logger()


class ReconcileResult(msgspec.Struct, kw_only=True):
    """What came of it, and what it depended on."""

    verdict: ReadyCondition
    seen: ObservedVersions
    """Objects whose changes should lead to another look; also of a look that failed."""
    resource: LoadedTopology | None = None
    connection: BrokerConnection | None = None
    answered: bool | None = None
    """Whether the broker answered; None when it was not asked."""
    version: str = ""
    made: list[str] = []
    """Secrets that were generated."""
    rotations: RotationStatus = RotationStatus()


class Reconciler:
    def __init__(self, kubernetes: KubernetesApi, neighbours: PeerTopologies, *, quiet_seconds: float) -> None:
        self._kubernetes = kubernetes
        self._neighbours = neighbours
        self._quiet_seconds = quiet_seconds
        self._migrator = Migrator(settle_seconds=quiet_seconds)

    async def look(self, body: Body) -> ReconcileResult:
        """Never raises: what the resource, Kubernetes or the broker do is in the verdict, and so is a fault of this
        code, lest a resource stay Ready that nobody compares any more."""
        if is_paused(body):
            return ReconcileResult(verdict=ready_condition.PAUSED, seen={})
        address = BrokerResolver(self._kubernetes, body["metadata"]["namespace"])
        store = KubernetesSecretStore(self._kubernetes, body)
        found = ReconcileResult(verdict=ready_condition.PAUSED, seen={}, made=store.made)
        try:
            await self._look(body, address, store, found)
        except Exception as exc:
            if not isinstance(exc, EXPECTED):
                log.exception("a fault of the operator", topology="/".join(key_of(body)))
            found.verdict = ready_condition.of_error(exc)
            if found.connection is not None and found.answered is None:
                found.answered = found.verdict.reason != "BrokerUnreachable"
        found.seen = {**address.seen, **store.seen}
        return found

    async def _look(
        self, body: Body, address: BrokerResolver, store: KubernetesSecretStore, found: ReconcileResult
    ) -> None:
        found.resource = resource = loaded(body)
        found.connection = connection = await address.resolve(resource.spec.broker)
        self._neighbours.leads_to(resource, connection.url)
        neighbours = await self._neighbours.at(key_of(body), connection.url)
        async with opened(connection) as api:
            found.answered, found.version = True, api.version
            rotator, wanted = Rotator(store, api), requested(resource)
            outcome = await reconcile(
                [resource],
                owner=resource.owner,
                api=api,
                secrets=store,
                peers=neighbours,
                accounts=await rotator.before(resource, wanted),
                quiet_seconds=self._quiet_seconds,
                migrate=self._migrator,
            )
            found.rotations = await rotator.after(resource, outcome, wanted)
        found.verdict = ready_condition.of_outcome(outcome, plan_only=resource.spec.mode == "Plan")


def is_paused(body: Body) -> bool:
    annotations: Mapping[str, str] = body["metadata"].get("annotations") or {}
    return annotations.get(PAUSED, "").lower() == "true"
