"""The clean-up at the broker after a Topology was deleted.

A broker that is unavailable for a while delays the deletion, so that no object is left there. A broker that is gone for
good delays neither the Topology nor its namespace for longer than a time limit.
"""

import contextlib

import msgspec
import structlog

from broker_topology.errors import BrokerError, InvalidTopology, SecretError, TopologyError
from broker_topology.migration.migrator import Migrator
from broker_topology.planning.result import Status, TopologyResult
from broker_topology.planning.state import ObjectKind
from broker_topology.reconciliation.finalize import finalize
from broker_topology.resource.manifests import with_spec
from broker_topology.resource.model import LoadedTopology
from topology_operator.broker.connection import ManagementEndpoint
from topology_operator.broker.management_client import open_management_api
from topology_operator.broker.resolver import BrokerResolver
from topology_operator.errors import CleanupPending, Forbidden, KubernetesError, UnresolvedReference
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import Body, age_seconds
from topology_operator.kubernetes.secret_store import KubernetesSecretStore
from topology_operator.reconcile.topology_resource import is_paused, load_topology

log = structlog.get_logger()


class CleanupResult(msgspec.Struct, frozen=True):
    message: str
    orphaned: bool = False
    """Whether objects stay at the broker although the deletion policy does not keep them."""


class Finalizer:
    def __init__(self, kubernetes: KubernetesApi, timeout_seconds: float, *, quiet_seconds: float) -> None:
        """`timeout_seconds` after the deletion the finalizer no longer waits for the broker."""
        self._kubernetes = kubernetes
        self._timeout = timeout_seconds
        self._quiet_seconds = quiet_seconds
        self._migrator = Migrator(settle_seconds=quiet_seconds)

    async def clean_up(self, body: Body, last: ManagementEndpoint | None) -> CleanupResult:
        """Uses `last`, the connection that worked last, if its Secret was deleted before the Topology.

        Raises `CleanupPending` if it has to be called again.
        """
        try:
            resource = load_topology(body)
        except InvalidTopology as exc:
            return CleanupResult(f"no clean-up, because the resource is invalid: {exc}", orphaned=True)
        if is_paused(body):  # objects stay, only their ownership ends
            resource = with_spec(resource, deletion_policy="Retain")
        try:
            result = await self._finalize(resource, body, last)
            with contextlib.suppress(KubernetesError, SecretError):  # the Secret is deleted with its namespace
                await self._keep_secrets(resource, body, result)
        except (UnresolvedReference, KubernetesError, TopologyError) as exc:
            if isinstance(exc, UnresolvedReference) and exc.not_found:
                return CleanupResult(f"no clean-up: {exc}", orphaned=True)
            return self._give_up_or_wait(body, str(exc))
        except Exception as exc:
            log.exception("internal error", topology=resource.owner)
            return self._give_up_or_wait(body, f"internal error of the operator ({type(exc).__name__}), see its log")
        if result.failures:
            return self._give_up_or_wait(body, "; ".join(f"{step}: {reason}" for step, reason in result.failures))
        text = f"{len(result.of(Status.DELETED))} objects deleted at the broker"
        if kept := result.of(Status.RETAINED, Status.BLOCKED, Status.FAILED):
            text += "; kept: " + ", ".join(f"{each.kind.value} {each.name} ({each.message})" for each in kept)
        return CleanupResult(text)

    async def _finalize(self, resource: LoadedTopology, body: Body, last: ManagementEndpoint | None) -> TopologyResult:
        unresolved: UnresolvedReference | Forbidden | None = None
        resolver = BrokerResolver(self._kubernetes, body["metadata"]["namespace"])
        try:
            connection = await resolver.resolve(resource.spec.broker)
        except (UnresolvedReference, Forbidden) as exc:  # deleting a namespace deletes Secrets and roles first
            if last is None or (isinstance(exc, UnresolvedReference) and exc.reason != "SecretNotFound"):
                raise
            connection, unresolved = last, exc
        try:
            async with open_management_api(connection) as api:
                return await finalize(
                    resource,
                    owner=resource.owner,
                    api=api,
                    quiet_seconds=self._quiet_seconds,
                    migrate=self._migrator,
                )
        except BrokerError as exc:
            if unresolved is not None:
                raise unresolved from exc
            raise

    async def _keep_secrets(self, resource: LoadedTopology, body: Body, result: TopologyResult) -> None:
        """Keeps the Secrets of users that stay at the broker: they need their passwords."""
        users = {each.name for each in result.of(Status.RETAINED) if each.kind is ObjectKind.USER}
        store = KubernetesSecretStore(self._kubernetes, body)
        for name, user in resource.spec.users.items():
            if user.secret_name and any(each == name or each.startswith(f"{name}.") for each in users):
                await store.keep(user.secret_name)

    def _give_up_or_wait(self, body: Body, cause: str) -> CleanupResult:
        left = self._timeout - age_seconds(body["metadata"]["deletionTimestamp"])
        if left > 0:
            raise CleanupPending(f"waiting up to {round(left)} s more to clean up at the broker: {cause}")
        return CleanupResult(f"no clean-up within {self._timeout:g} s: {cause}", orphaned=True)
