"""Brings a broker to what an owner's topology says, keeps it there, and takes away what is no longer wanted.

One run: read the broker and the records of who owns what; check everything; write the own claim; make what is missing
and put right what differs; remove what the owner has and no longer names; read the broker back. It may end at any
request, by whatever cause, and be run again. Nothing is written when there is no difference, and the number of requests
for reading does not depend on how many objects there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from broker_topology.broker.backlog import QUIET_SECONDS
from broker_topology.broker.execution import Progress
from broker_topology.broker.management_api import ManagementApi
from broker_topology.credentials.secrets import SecretStore
from broker_topology.migration.context import RunMigrations
from broker_topology.planning.result import TopologyResult
from broker_topology.reconciliation.run import Reconciliation
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import Rotated


async def reconcile(
    resource: LoadedTopology,
    *,
    owner: str,
    api: ManagementApi,
    secrets: SecretStore,
    peers: Sequence[LoadedTopology] = (),
    accounts: Rotated | None = None,
    migrate: RunMigrations | None = None,
    progress: Progress | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> TopologyResult:
    """As the resource's `mode` and `prune` say.

    `peers` are the other resources for the same broker: references to what they declare are no mistake. What the
    broker refuses is in the outcome. Raises, having written nothing: `InvalidTopology`,
    `OwnershipConflict`, `SecretError`, `AccessDenied`. Raises `BrokerError` whenever the broker is not there.
    """
    return await reconcile_all(
        [resource],
        owner=owner,
        api=api,
        secrets=secrets,
        peers=peers,
        enforce=resource.spec.mode == "Enforce",
        prune=resource.spec.prune == "EmptyOnly",
        accounts=accounts,
        migrate=migrate,
        progress=progress,
        quiet_seconds=quiet_seconds,
        patient=True,
    )


async def reconcile_all(
    topologies: Sequence[LoadedTopology],
    *,
    owner: str,
    api: ManagementApi,
    secrets: SecretStore,
    peers: Sequence[LoadedTopology] = (),
    enforce: bool = True,
    prune: bool = True,
    accounts: Rotated | None = None,
    migrate: RunMigrations | None = None,
    progress: Progress | None = None,
    quiet_seconds: float = QUIET_SECONDS,
    patient: bool = False,
) -> TopologyResult:
    """The same for several resources that have one owner together, whatever their `mode` and `prune` say.

    Without `enforce`, `patient` waits until the broker's counts of messages are true, as carrying out does.
    """
    run = Reconciliation(topologies, owner, peers, api, secrets, quiet_seconds)
    await run.read()
    await run.decide(accounts, generate=enforce)
    if not enforce:
        return await run.told(prune=prune, patient=patient)
    return await run.carry_out(prune=prune, migrate=migrate, progress=progress)
