"""What a deleted resource leaves behind: nothing, or what it must not take along.

A broker that is away for a moment is waited for, so that nothing stays there by accident. One that is gone for good is
not: neither the resource nor its namespace may hang on it.
"""

from __future__ import annotations

import contextlib

import msgspec
import structlog

from broker_topology.errors import BrokerError, InvalidTopology, SecretError, TopologyError
from broker_topology.migration.migrator import Migrator
from broker_topology.planning.result import Status, TopologyResult
from broker_topology.reconciliation.finalize import finalize
from broker_topology.resource.model import LoadedTopology
from topology_operator.broker.connection import BrokerConnection
from topology_operator.broker.management_client import opened
from topology_operator.broker.resolver import BrokerResolver
from topology_operator.errors import Forbidden, KubernetesError, OperatorError, UnresolvedReference
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.secret_store import KubernetesSecretStore
from topology_operator.kubernetes.timestamps import age_seconds
from topology_operator.reconcile.peer_topologies import Body, loaded
from topology_operator.reconcile.reconciler import is_paused

_EXPECTED = (UnresolvedReference, KubernetesError, TopologyError)


log = structlog.get_logger()


class CleanupPending(OperatorError):
    """The clean-up is still to be done; try again."""


class CleanupResult(msgspec.Struct, frozen=True):
    """The resource may go. `clean` is false when something stayed that nobody chose to keep."""

    message: str
    clean: bool = True


class Finalizer:
    """`patience` is how many seconds after the deletion was asked for it stops waiting for the broker."""

    def __init__(self, kubernetes: KubernetesApi, patience: float, *, quiet_seconds: float) -> None:
        self._kubernetes = kubernetes
        self._patience = patience
        self._quiet_seconds = quiet_seconds
        self._migrator = Migrator(settle_seconds=quiet_seconds)

    async def release(self, body: Body, last: BrokerConnection | None) -> CleanupResult:
        """`last` is the connection that worked last: a Secret may be deleted before the resource that needs it.

        Raises `CleanupPending`.
        """
        try:
            resource = loaded(body)
        except InvalidTopology as exc:
            return CleanupResult(f"nothing was cleaned up, because the resource cannot be read: {exc}", clean=False)
        if is_paused(body):  # hands off means hands off; only the claim on the objects ends
            resource = _retaining(resource)
        try:
            return await self._release(resource, body, last)
        except CleanupPending:
            raise
        except Exception as exc:
            if not isinstance(exc, _EXPECTED):
                log.exception("a fault of the operator", topology=resource.owner)
                return self._patiently(body, f"a fault of the operator ({type(exc).__name__}), see its log")
            if isinstance(exc, UnresolvedReference) and exc.gone:
                return CleanupResult(f"nothing was cleaned up: {exc}", clean=False)
            return self._patiently(body, str(exc))

    async def _release(self, resource: LoadedTopology, body: Body, last: BrokerConnection | None) -> CleanupResult:
        missing: UnresolvedReference | Forbidden | None = None
        try:
            connection = await BrokerResolver(self._kubernetes, body["metadata"]["namespace"]).resolve(
                resource.spec.broker
            )
        except (UnresolvedReference, Forbidden) as exc:  # a namespace that ends takes Secrets and role bindings along
            if last is None or (isinstance(exc, UnresolvedReference) and exc.reason != "SecretMissing"):
                raise
            connection, missing = last, exc
        try:
            async with opened(connection) as api:
                outcome = await finalize(
                    resource,
                    owner=resource.owner,
                    api=api,
                    quiet_seconds=self._quiet_seconds,
                    migrate=self._migrator,
                )
        except BrokerError as exc:
            if missing is not None:
                raise missing from exc
            raise
        with contextlib.suppress(KubernetesError, SecretError):  # one that cannot be kept goes with its namespace
            await self._keep_secrets(resource, body, outcome)
        return self._said(outcome, body)

    def _patiently(self, body: Body, why: str) -> CleanupResult:
        waited = age_seconds(body["metadata"]["deletionTimestamp"])
        if waited < self._patience:
            left = round(self._patience - waited)
            raise CleanupPending(f"waiting up to {left} s more to clean up at the broker: {why}")
        return CleanupResult(f"nothing was cleaned up within {self._patience:g} s: {why}", clean=False)

    async def _keep_secrets(self, resource: LoadedTopology, body: Body, outcome: TopologyResult) -> None:
        """A user that stays needs its password."""
        kept = {each.name for each in outcome.of(Status.RETAINED) if each.kind.name == "USER"}
        store = KubernetesSecretStore(self._kubernetes, body)
        for name, user in resource.spec.users.items():
            if user.secret_name and any(each == name or each.startswith(f"{name}.") for each in kept):
                await store.keep(user.secret_name)

    def _said(self, outcome: TopologyResult, body: Body) -> CleanupResult:
        if outcome.failures:
            return self._patiently(body, "; ".join(f"{step}: {reason}" for step, reason in outcome.failures))
        kept = outcome.of(Status.RETAINED, Status.BLOCKED, Status.FAILED)
        text = f"{len(outcome.of(Status.DELETED))} objects deleted at the broker"
        if kept:
            text += "; kept: " + ", ".join(f"{each.kind.value} {each.name} ({each.message})" for each in kept)
        return CleanupResult(text)


def _retaining(resource: LoadedTopology) -> LoadedTopology:
    replace = msgspec.structs.replace
    topology = resource.topology
    return replace(resource, topology=replace(topology, spec=replace(topology.spec, deletion_policy="Retain")))
