"""Brings a broker to what the topology says, without a record of who owns what: nothing is ever removed.

Order: check the whole graph, read the broker, make missing credentials, plan, write. Nothing is written before
everything is checked. `reconcile` is the same with an owner, who may also take away what is no longer wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from broker_topology.accounts import accounts
from broker_topology.desired import desired
from broker_topology.errors import ApplyIncomplete
from broker_topology.execution import Progress, carry_out, check_rights
from broker_topology.management_api import ManagementApi
from broker_topology.model import Loaded
from broker_topology.observe import observe
from broker_topology.plan import Plan, plan
from broker_topology.rendering import title
from broker_topology.secrets import Credentials, SecretStore
from broker_topology.validation import validate


class Applied(msgspec.Struct, frozen=True):
    """What `apply` did: the plan as it was carried out. `plan.blocked` is what it could not do."""

    plan: Plan


async def preview(topologies: Sequence[Loaded], api: ManagementApi, secrets: SecretStore) -> Plan:
    """What `apply` would do, writing nothing anywhere.

    Raises `InvalidTopology`, `SecretError`, `BrokerError`.
    """
    validate(topologies)
    found = await accounts(topologies, secrets, generate=False)
    wanted = desired(topologies, found.usernames)
    return plan(wanted, await observe(api, vhosts(topologies)), found.credentials)


async def apply(
    topologies: Sequence[Loaded], api: ManagementApi, secrets: SecretStore, progress: Progress | None = None
) -> Applied:
    """Writes the difference, and nothing when there is none.

    Blocked steps are returned, not raised: everything else is done. Raises `InvalidTopology` and `SecretError` before
    anything is written at the broker, `ApplyIncomplete` when the broker refused steps, `BrokerError` when it is gone.
    """
    validate(topologies)
    observed = await observe(api, vhosts(topologies))
    found = await accounts(topologies, secrets, generate=True)
    steps = plan(desired(topologies, found.usernames), observed, found.credentials)
    check_rights(api.username, steps, observed)
    await execute(steps, api, found.credentials, progress)
    return Applied(steps)


async def execute(
    steps: Plan, api: ManagementApi, credentials: Mapping[str, Credentials | None], progress: Progress | None = None
) -> None:
    """Carries out a plan. Raises as `apply`."""
    done = await carry_out(steps, api, credentials, progress)
    if done.failures:
        raise ApplyIncomplete([(title(each.step), each.reason) for each in done.failures], len(done.skipped))


def vhosts(topologies: Sequence[Loaded]) -> set[str]:
    return {item.spec.vhost for item in topologies}
