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
from topology_operator.broker_address import BrokerAddress
from topology_operator.broker_door import opened
from topology_operator.clock import age_seconds
from topology_operator.connection import Connection
from topology_operator.errors import KubernetesError, NotAllowed, OperatorError, ReferenceRefused
from topology_operator.kubernetes_api import KubernetesApi
from topology_operator.neighbours import Body, loaded
from topology_operator.reconciler import is_paused
from topology_operator.secret_store import KubernetesSecrets

_EXPECTED = (ReferenceRefused, KubernetesError, TopologyError)


log = structlog.get_logger()


class Waiting(OperatorError):
    """The clean-up is still to be done; try again."""


class Released(msgspec.Struct, frozen=True):
    """The resource may go. `clean` is false when something stayed that nobody chose to keep."""

    message: str
    clean: bool = True


class Releaser:
    """`patience` is how many seconds after the deletion was asked for it stops waiting for the broker."""

    def __init__(self, kubernetes: KubernetesApi, patience: float, *, quiet_seconds: float) -> None:
        self._kubernetes = kubernetes
        self._patience = patience
        self._quiet_seconds = quiet_seconds
        self._migrator = Migrator(settle_seconds=quiet_seconds)

    async def release(self, body: Body, last: Connection | None) -> Released:
        """`last` is the connection that worked last: a Secret may be deleted before the resource that needs it.

        Raises `Waiting`.
        """
        try:
            resource = loaded(body)
        except InvalidTopology as exc:
            return Released(f"nothing was cleaned up, because the resource cannot be read: {exc}", clean=False)
        if is_paused(body):  # hands off means hands off; only the claim on the objects ends
            resource = _retaining(resource)
        try:
            return await self._release(resource, body, last)
        except Waiting:
            raise
        except Exception as exc:
            if not isinstance(exc, _EXPECTED):
                log.exception("a fault of the operator", topology=resource.owner)
                return self._patiently(body, f"a fault of the operator ({type(exc).__name__}), see its log")
            if isinstance(exc, ReferenceRefused) and exc.gone:
                return Released(f"nothing was cleaned up: {exc}", clean=False)
            return self._patiently(body, str(exc))

    async def _release(self, resource: LoadedTopology, body: Body, last: Connection | None) -> Released:
        missing: ReferenceRefused | NotAllowed | None = None
        try:
            connection = await BrokerAddress(self._kubernetes, body["metadata"]["namespace"]).resolve(
                resource.spec.broker
            )
        except (ReferenceRefused, NotAllowed) as exc:  # a namespace that ends takes Secrets and role bindings along
            if last is None or (isinstance(exc, ReferenceRefused) and exc.reason != "SecretMissing"):
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

    def _patiently(self, body: Body, why: str) -> Released:
        waited = age_seconds(body["metadata"]["deletionTimestamp"])
        if waited < self._patience:
            left = round(self._patience - waited)
            raise Waiting(f"waiting up to {left} s more to clean up at the broker: {why}")
        return Released(f"nothing was cleaned up within {self._patience:g} s: {why}", clean=False)

    async def _keep_secrets(self, resource: LoadedTopology, body: Body, outcome: TopologyResult) -> None:
        """A user that stays needs its password."""
        kept = {each.name for each in outcome.of(Status.RETAINED) if each.kind.name == "USER"}
        store = KubernetesSecrets(self._kubernetes, body)
        for name, user in resource.spec.users.items():
            if user.secret_name and any(each == name or each.startswith(f"{name}.") for each in kept):
                await store.keep(user.secret_name)

    def _said(self, outcome: TopologyResult, body: Body) -> Released:
        if outcome.failures:
            return self._patiently(body, "; ".join(f"{step}: {reason}" for step, reason in outcome.failures))
        kept = outcome.of(Status.RETAINED, Status.BLOCKED, Status.FAILED)
        text = f"{len(outcome.of(Status.DELETED))} objects deleted at the broker"
        if kept:
            text += "; kept: " + ", ".join(f"{each.kind.value} {each.name} ({each.message})" for each in kept)
        return Released(text)


def _retaining(resource: LoadedTopology) -> LoadedTopology:
    replace = msgspec.structs.replace
    topology = resource.topology
    return replace(resource, topology=replace(topology, spec=replace(topology.spec, deletion_policy="Retain")))
