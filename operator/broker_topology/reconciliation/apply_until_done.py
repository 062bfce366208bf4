"""Applies the files of one owner for users and CI: waits for migrations, and rotates as far as possible now."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from broker_topology.broker.execution import Progress
from broker_topology.broker.management_api import ManagementApi
from broker_topology.credentials.secrets import CredentialStore
from broker_topology.errors import TopologyError
from broker_topology.migration.migrator import Migrator
from broker_topology.planning.result import TopologyResult
from broker_topology.reconciliation.reconcile import reconcile
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import AccountCredentials
from broker_topology.rotation.rotator import Rotator


async def apply_until_done(
    topologies: Sequence[LoadedTopology],
    *,
    owner: str,
    api: ManagementApi,
    secrets: CredentialStore,
    prune: bool,
    rotate: Iterable[str] = (),
    progress: Progress | None = None,
    notify: Callable[[str], None] = lambda _: None,
) -> TopologyResult:
    """Reconciles like `reconcile`, and waits until migrations of queues are complete.

    Each user of `rotate` gets a new password. A later run, after the overlap, deletes the previous user.

    `notify` gets a line for each wait. Raises what `reconcile` raises, and `TopologyError` for a user in no file.
    """
    rotator = Rotator(secrets, api)
    requested = dict.fromkeys(rotate, datetime.now(UTC))
    if unknown := requested.keys() - {name for item in topologies for name in item.spec.users}:
        raise TopologyError(f"user {', '.join(sorted(unknown))} is in none of the files")
    account_credentials: AccountCredentials = {}
    for item in topologies:
        account_credentials = {**account_credentials, **await rotator.before(item, requested)}
    result = await reconcile(
        topologies,
        owner=owner,
        api=api,
        secrets=secrets,
        enforce=True,
        prune=prune,
        account_credentials=account_credentials,
        migrate=Migrator(patience_seconds=float("inf"), notify=notify),
        progress=progress,
    )
    for item in topologies:
        rotations = await rotator.after(item, result, requested)
        until = f"; the previous user stays until {rotations.next_look:%H:%M:%S} UTC" if rotations.next_look else ""
        for name in rotations.switched:
            notify(f"user {name} has a new password{until}")
    return result
