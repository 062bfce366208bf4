"""One reconcile of one Topology: resolves its references, runs the engine, and returns the Ready condition."""

from typing import Any

import msgspec
import structlog

from broker_topology.migration.migrator import Migrator
from broker_topology.reconciliation.reconcile import reconcile
from broker_topology.rotation.rotator import RotationStatus, Rotator
from topology_operator.broker.connection import ManagementEndpoint
from topology_operator.broker.management_client import open_management_api
from topology_operator.broker.resolver import BrokerResolver
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import Body, ObservedVersions, full_name, key_of
from topology_operator.kubernetes.secret_store import KubernetesSecretStore
from topology_operator.reconcile.peer_topologies import PeerTopologies
from topology_operator.reconcile.ready_condition import (
    EXPECTED_ERRORS,
    PAUSED_CONDITION,
    ReadyCondition,
    from_error,
    from_result,
)
from topology_operator.reconcile.topology_resource import is_paused, load_topology, requested_rotations

log = structlog.get_logger()


class ReconcileResult(msgspec.Struct, frozen=True, kw_only=True):
    ready: ReadyCondition
    observed: ObservedVersions = {}
    """Objects whose changes require another reconcile; also after a failure."""
    connection: ManagementEndpoint | None = None
    reachable: bool | None = None
    """Whether the broker answered; None if it was not called."""
    version: str = ""
    """The broker's version."""
    generated: tuple[str, ...] = ()
    """Names of the Secrets that got a new password."""
    rotations: RotationStatus = RotationStatus()


class Reconciler:
    """Stateless, except that migrations remember since when a queue has been quiet."""

    def __init__(self, kubernetes: KubernetesApi, peers: PeerTopologies, *, quiet_seconds: float) -> None:
        self._kubernetes = kubernetes
        self._peers = peers
        self._quiet_seconds = quiet_seconds
        self._migrator = Migrator(settle_seconds=quiet_seconds)

    async def reconcile(self, body: Body) -> ReconcileResult:
        """Reconciles once. Never raises: an internal error is a condition too, so no resource stays Ready."""
        if is_paused(body):
            return ReconcileResult(ready=PAUSED_CONDITION)
        resolver = BrokerResolver(self._kubernetes, body["metadata"]["namespace"])
        secrets = KubernetesSecretStore(self._kubernetes, body)
        found: dict[str, Any] = {}
        try:
            resource = load_topology(body)
            found["connection"] = connection = await resolver.resolve(resource.spec.broker)
            self._peers.set_url(resource, connection.url)
            peers = await self._peers.peers_of(key_of(body), connection.url)
            async with open_management_api(connection) as api:
                found["version"] = api.version
                rotator, requested = Rotator(secrets, api), requested_rotations(resource)
                result = await reconcile(
                    [resource],
                    owner=resource.owner,
                    api=api,
                    secrets=secrets,
                    peers=peers,
                    account_credentials=await rotator.before(resource, requested),
                    quiet_seconds=self._quiet_seconds,
                    migrate=self._migrator,
                )
                found["rotations"] = await rotator.after(resource, result, requested)
            ready = from_result(result, plan_only=resource.spec.mode == "Plan")
        except Exception as exc:
            if not isinstance(exc, EXPECTED_ERRORS):
                log.exception("internal error", topology=full_name(body))
            ready = from_error(exc)
        if "connection" in found:
            found["reachable"] = ready.reason != "BrokerUnreachable"
        observed = resolver.observed | secrets.observed
        return ReconcileResult(ready=ready, observed=observed, generated=tuple(secrets.generated), **found)
