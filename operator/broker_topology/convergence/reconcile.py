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
from broker_topology.convergence.reconciliation import Reconciliation
from broker_topology.credentials.secrets import SecretStore
from broker_topology.migration.situation import Migrate
from broker_topology.planning.outcome import Outcome
from broker_topology.resource.model import Loaded
from broker_topology.rotation.accounts import Rotated


async def reconcile(
    resource: Loaded,
    *,
    owner: str,
    api: ManagementApi,
    secrets: SecretStore,
    neighbours: Sequence[Loaded] = (),
    accounts: Rotated | None = None,
    migrate: Migrate | None = None,
    progress: Progress | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> Outcome:
    """As the resource's `mode` and `prune` say.

    `neighbours` are the other resources for the same broker: references to what they declare are no mistake. What the
    broker refuses is in the outcome. Raises, having written nothing: `InvalidTopology` (also `Claimed`: another owner
    has an object), `SecretError`, `AccessRefused`. Raises `BrokerError` whenever the broker is not there.
    """
    return await converge(
        [resource],
        owner=owner,
        api=api,
        secrets=secrets,
        neighbours=neighbours,
        enforce=resource.spec.mode == "Enforce",
        prune=resource.spec.prune == "EmptyOnly",
        accounts=accounts,
        migrate=migrate,
        progress=progress,
        quiet_seconds=quiet_seconds,
        patient=True,
    )


async def converge(
    topologies: Sequence[Loaded],
    *,
    owner: str,
    api: ManagementApi,
    secrets: SecretStore,
    neighbours: Sequence[Loaded] = (),
    enforce: bool = True,
    prune: bool = True,
    accounts: Rotated | None = None,
    migrate: Migrate | None = None,
    progress: Progress | None = None,
    quiet_seconds: float = QUIET_SECONDS,
    patient: bool = False,
) -> Outcome:
    """The same for several resources that have one owner together, whatever their `mode` and `prune` say.

    Without `enforce`, `patient` waits until the broker's counts of messages are true, as carrying out does.
    """
    run = Reconciliation(topologies, owner, neighbours, api, secrets, quiet_seconds)
    await run.read()
    await run.decide(accounts, generate=enforce)
    if not enforce:
        return await run.told(prune=prune, patient=patient)
    return await run.carry_out(prune=prune, migrate=migrate, progress=progress)
