"""Applies topologies without an owner, so nothing is recorded at the broker and nothing is ever deleted."""

from collections.abc import Sequence

from broker_topology.broker.execution import Progress
from broker_topology.broker.management_api import ManagementApi
from broker_topology.credentials.secrets import CredentialStore
from broker_topology.errors import ApplyIncomplete
from broker_topology.planning.result import TopologyResult
from broker_topology.reconciliation.reconcile import reconcile
from broker_topology.resource.model import LoadedTopology
from broker_topology.rules.validation import validate


async def preview(
    topologies: Sequence[LoadedTopology], api: ManagementApi, secrets: CredentialStore, *, strict: bool = True
) -> TopologyResult:
    """Returns the result that `apply` would have. Writes nothing.

    Raises `InvalidTopology`, `SecretError`, `BrokerError`.
    """
    if strict:
        validate(topologies)
    return await reconcile(topologies, owner="", api=api, secrets=secrets, enforce=False)


async def apply(
    topologies: Sequence[LoadedTopology],
    api: ManagementApi,
    secrets: CredentialStore,
    progress: Progress | None = None,
    *,
    strict: bool = True,
) -> TopologyResult:
    """Writes the difference, and nothing if there is none. Objects of an owner are not changed.

    With `strict`, the topologies must be valid without the objects that the broker holds. Blocked steps are returned,
    not raised: everything else is done. Raises `InvalidTopology` and `SecretError` before anything is written at the
    broker, `ApplyIncomplete` when the broker refused steps, `BrokerError` when it does not answer.
    """
    if strict:
        validate(topologies)
    result = await reconcile(topologies, owner="", api=api, secrets=secrets, enforce=True, progress=progress)
    if result.failures:
        raise ApplyIncomplete(result.failures, result.skipped)
    return result
