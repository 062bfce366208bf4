"""Brings a broker to what the topology says, without a record of who owns what: nothing is ever removed.

Order: check the whole graph, read the broker, make missing credentials, plan, write. Nothing is written before
everything is checked. `reconcile` is the same with an owner, who may also take away what is no longer wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.execution import Progress, carry_out, check_rights
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.convergence import claims
from broker_topology.credentials.secrets import Credentials, SecretStore
from broker_topology.errors import ApplyIncomplete, InvalidTopology
from broker_topology.planning.desired import desired
from broker_topology.planning.plan import Plan, plan
from broker_topology.planning.rendering import title
from broker_topology.planning.state import State
from broker_topology.resource.model import Loaded
from broker_topology.rotation.accounts import Accounts, accounts
from broker_topology.rules.validation import findings, validate


class Applied(msgspec.Struct, frozen=True):
    """What `apply` did: the plan as it was carried out. `plan.blocked` is what it could not do."""

    plan: Plan


async def preview(
    topologies: Sequence[Loaded], api: ManagementApi, secrets: SecretStore, *, strict: bool = True
) -> Plan:
    """What `apply` would do, writing nothing anywhere.

    Raises `InvalidTopology`, `SecretError`, `BrokerError`.
    """
    return (await _prepared(topologies, api, secrets, strict=strict, generate=False)).plan


async def apply(
    topologies: Sequence[Loaded],
    api: ManagementApi,
    secrets: SecretStore,
    progress: Progress | None = None,
    *,
    strict: bool = True,
) -> Applied:
    """Writes the difference, and nothing when there is none.

    Unless `strict`, references may be to what the broker holds, and objects on an owner's record are not changed.
    Blocked steps are returned, not raised: everything else is done. Raises `InvalidTopology` and `SecretError` before
    anything is written at the broker, `ApplyIncomplete` when the broker refused steps, `BrokerError` when it is gone.
    """
    ready = await _prepared(topologies, api, secrets, strict=strict, generate=True)
    check_rights(api.username, ready.plan, ready.observed)
    await execute(ready.plan, api, ready.credentials, progress)
    return Applied(ready.plan)


class _Prepared(msgspec.Struct, frozen=True):
    plan: Plan
    observed: State
    credentials: Mapping[str, Credentials | None]


async def _prepared(
    topologies: Sequence[Loaded], api: ManagementApi, secrets: SecretStore, *, strict: bool, generate: bool
) -> _Prepared:
    if strict:
        validate(topologies)
    observed = await observe(api, vhosts(topologies))
    if not strict and (found := findings(topologies, (), observed)):
        raise InvalidTopology(found)
    if not strict:
        await _check_owners(topologies, api, observed, await accounts(topologies, secrets, generate=False))
    known = await accounts(topologies, secrets, generate=generate)
    steps = plan(desired(topologies, known.usernames), observed, known.credentials)
    return _Prepared(steps, observed, known.credentials)


async def _check_owners(topologies: Sequence[Loaded], api: ManagementApi, observed: State, known: Accounts) -> None:
    """Whoever has an object on record would change it back."""
    steps = plan(desired(topologies, known.usernames), observed, known.credentials)
    changed = frozenset((step.kind, step.key) for step in steps.writes)
    claims.check(topologies, "", changed, await ownership.records(api))


async def execute(
    steps: Plan, api: ManagementApi, credentials: Mapping[str, Credentials | None], progress: Progress | None = None
) -> None:
    """Carries out a plan. Raises as `apply`."""
    done = await carry_out(steps, api, credentials, progress)
    if done.failures:
        raise ApplyIncomplete([(title(each.step), each.reason) for each in done.failures], len(done.skipped))


def vhosts(topologies: Sequence[Loaded]) -> set[str]:
    return {item.spec.vhost for item in topologies}
