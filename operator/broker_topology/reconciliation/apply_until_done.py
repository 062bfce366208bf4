"""One owner's files brought to their end in one go, for people and CI: migrations are waited for, rotations taken as
far as they can go now."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from broker_topology.broker.execution import Progress
from broker_topology.broker.management_api import ManagementApi
from broker_topology.errors import TopologyError
from broker_topology.migration.migrator import Migrator
from broker_topology.planning.result import TopologyResult
from broker_topology.reconciliation.reconcile import reconcile_all
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import Rotated
from broker_topology.rotation.rotator import Rotator
from broker_topology.rotation.versioned_secrets import VersionedSecretStore

FOREVER = float("inf")
Told = Callable[[str], None]


async def apply_until_done(
    topologies: Sequence[LoadedTopology],
    *,
    owner: str,
    api: ManagementApi,
    secrets: VersionedSecretStore,
    prune: bool,
    rotate: Iterable[str] = (),
    progress: Progress | None = None,
    told: Told | None = None,
) -> TopologyResult:
    """As `reconcile_all`. Each user of `rotate` gets a new password; the former one goes at a run after its overlap.

    `told` hears, line by line, what is waited for. Raises what `reconcile_all` raises, and `TopologyError` for an
    unknown user.
    """
    rotator = Rotator(secrets, api)
    requested = dict.fromkeys(rotate, datetime.now(UTC))
    if unknown := requested.keys() - {name for item in topologies for name in item.spec.users}:
        raise TopologyError(f"user {', '.join(sorted(unknown))} is in none of the files")
    migrator = Migrator(patience_seconds=FOREVER, told=told)

    async def once() -> TopologyResult:
        accounts: Rotated = {}
        for item in topologies:
            accounts = {**accounts, **await rotator.before(item, requested)}
        return await reconcile_all(
            topologies,
            owner=owner,
            api=api,
            secrets=secrets,
            prune=prune,
            accounts=accounts,
            migrate=migrator,
            progress=progress,
        )

    outcome = await once()
    for item in topologies:
        rotations = await rotator.after(item, outcome, requested)
        for name in rotations.switched:
            if told is not None:
                until = (
                    f"; its former user stays until {rotations.next_look:%H:%M:%S} UTC" if rotations.next_look else ""
                )
                told(f"user {name} has a new password{until}")
    return outcome
