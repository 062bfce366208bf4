"""Brings a broker to what the topology says, without a record of who owns what: nothing is ever removed.

Order: check the whole graph, read the broker, make missing credentials, plan, write. Nothing is written before
everything is checked. `reconcile` is the same with an owner, who may also take away what is no longer wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.execution import Progress, carry_out, check_rights
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.credentials.secrets import Credentials, SecretStore
from broker_topology.errors import ApplyIncomplete, InvalidTopology
from broker_topology.findings import refusing
from broker_topology.planning.desired import desired
from broker_topology.planning.plan import Action, Plan, PlanStep, plan
from broker_topology.planning.rendering import title
from broker_topology.planning.state import Body, BrokerState, Key, ObjectKind, key
from broker_topology.reconciliation import claims
from broker_topology.reconciliation.run import migration_hint
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import BrokerAccounts, accounts
from broker_topology.rules.validation import findings, validate


class ApplyResult(msgspec.Struct, frozen=True):
    """What `apply` did: the plan as it was carried out. `plan.blocked` is what it could not do."""

    plan: Plan
    unnamed: tuple[str, ...] = ()
    """Bindings to queues of these files that the broker has and the files do not name. They stay."""
    warnings: tuple[str, ...] = ()
    """What the broker accepts, and what is probably a mistake."""


async def preview(
    topologies: Sequence[LoadedTopology], api: ManagementApi, secrets: SecretStore, *, strict: bool = True
) -> Plan:
    """What `apply` would do, writing nothing anywhere.

    Raises `InvalidTopology`, `SecretError`, `BrokerError`.
    """
    return (await foresee(topologies, api, secrets, strict=strict)).plan


async def foresee(
    topologies: Sequence[LoadedTopology], api: ManagementApi, secrets: SecretStore, *, strict: bool = True
) -> ApplyResult:
    """As `preview`, with what there is to say besides."""
    return (await _prepared(topologies, api, secrets, strict=strict, generate=False)).applied


async def apply(
    topologies: Sequence[LoadedTopology],
    api: ManagementApi,
    secrets: SecretStore,
    progress: Progress | None = None,
    *,
    strict: bool = True,
) -> ApplyResult:
    """Writes the difference, and nothing when there is none.

    Unless `strict`, references may be to what the broker holds, and objects on an owner's record are not changed.
    Blocked steps are returned, not raised: everything else is done. Raises `InvalidTopology` and `SecretError` before
    anything is written at the broker, `ApplyIncomplete` when the broker refused steps, `BrokerError` when it is gone.
    """
    ready = await _prepared(topologies, api, secrets, strict=strict, generate=True)
    check_rights(api.username, ready.plan, ready.observed)
    await execute(ready.plan, api, ready.credentials, progress, queues=ready.queues)
    return ready.applied


class _Prepared(msgspec.Struct, frozen=True):
    applied: ApplyResult
    observed: BrokerState
    credentials: Mapping[str, Credentials | None]
    queues: Mapping[Key, Body]

    @property
    def plan(self) -> Plan:
        return self.applied.plan


async def _prepared(
    topologies: Sequence[LoadedTopology], api: ManagementApi, secrets: SecretStore, *, strict: bool, generate: bool
) -> _Prepared:
    if strict:
        validate(topologies)  # before the broker is asked
    observed = await observe(api, vhosts(topologies))
    found = findings(topologies, (), None if strict else observed)
    if refused := refusing(found):
        raise InvalidTopology(refused)
    owned = {} if strict else await ownership.records(api)
    if not strict:
        _check_owners(topologies, owned, observed, await accounts(topologies, secrets, generate=False))
    known = await accounts(topologies, secrets, generate=generate)
    wanted = desired(topologies, known.usernames)
    steps = plan(wanted, observed, known.credentials)
    hinted = Plan(tuple(_hinted(step) for step in steps.steps))
    unnamed = tuple(_unnamed(wanted, observed, owned.values()))
    return _Prepared(
        ApplyResult(hinted, unnamed, tuple(map(str, found))), observed, known.credentials, wanted[ObjectKind.QUEUE]
    )


def _check_owners(
    topologies: Sequence[LoadedTopology], owned: Mapping[str, OwnerRecord], observed: BrokerState, known: BrokerAccounts
) -> None:
    """Whoever has an object on record would change it back."""
    steps = plan(desired(topologies, known.usernames), observed, known.credentials)
    changed = frozenset((step.kind, step.key) for step in steps.writes)
    claims.check(topologies, "", changed, owned)


def _hinted(step: PlanStep) -> PlanStep:
    if step.action is not Action.BLOCKED or not step.changes or not (hint := migration_hint(step)):
        return step
    return msgspec.structs.replace(step, reason=f"{step.reason}{hint}, with --owner")


def _unnamed(wanted: BrokerState, observed: BrokerState, owned: Iterable[OwnerRecord]) -> Iterator[str]:
    """Without a record nothing tells a binding that these files named before from one that another client made."""
    claimed = {identity for record in owned for kind, identity in record.claims if kind is ObjectKind.BINDING}
    for identity in sorted(observed[ObjectKind.BINDING].keys() - wanted[ObjectKind.BINDING].keys() - claimed):
        _, kind, target, *_ = identity.name
        if kind == "queue" and key(target, identity.vhost) in wanted[ObjectKind.QUEUE]:
            yield title(PlanStep(Action.DELETE, ObjectKind.BINDING, identity))


async def execute(
    steps: Plan,
    api: ManagementApi,
    credentials: Mapping[str, Credentials | None],
    progress: Progress | None = None,
    *,
    queues: Mapping[Key, Body] | None = None,
) -> None:
    """Carries out a plan; see `carry_out`. Raises as `apply`."""
    done = await carry_out(steps, api, credentials, queues or {}, progress)
    if done.failures:
        raise ApplyIncomplete(
            [(title(each.step), each.reason) for each in done.failures],
            [(title(each.step), f"{each.waits_for[0].value} {each.waits_for[1]}") for each in done.skipped],
        )


def vhosts(topologies: Sequence[LoadedTopology]) -> set[str]:
    return {item.spec.vhost for item in topologies}
