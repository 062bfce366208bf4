"""Brings a broker to the wanted state without a record of owners, so nothing is ever deleted.

Order: check the whole graph, read the broker, generate missing credentials, plan, write. `reconcile` does the same for
an owner, and also deletes what the owner no longer wants.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from broker_topology.broker import ownership
from broker_topology.broker.execution import Progress, check_rights, execute_plan
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.broker.ownership import OwnerRecord
from broker_topology.credentials.secrets import Credentials, SecretStore
from broker_topology.errors import ApplyIncomplete, InvalidTopology
from broker_topology.findings import errors_in
from broker_topology.planning.desired import desired
from broker_topology.planning.plan import Action, Plan, PlanStep, plan
from broker_topology.planning.rendering import title
from broker_topology.planning.state import Body, BrokerState, Key, ObjectKind, key
from broker_topology.reconciliation import claims
from broker_topology.reconciliation.reconcile import migration_hint
from broker_topology.resource.model import LoadedTopology
from broker_topology.rotation.accounts import BrokerAccounts, accounts
from broker_topology.rules.validation import check, validate


class ApplyResult(msgspec.Struct, frozen=True):
    """The plan of `apply` as it was carried out; `plan.blocked` is what could not be done."""

    plan: Plan
    unnamed: tuple[str, ...] = ()
    """Bindings to queues of these files that the broker holds and the files do not name. They stay."""
    warnings: tuple[str, ...] = ()


async def preview(
    topologies: Sequence[LoadedTopology], api: ManagementApi, secrets: SecretStore, *, strict: bool = True
) -> ApplyResult:
    """The result that `apply` would have. Writes nothing. Raises `InvalidTopology`, `SecretError`, `BrokerError`."""
    result, *_ = await _prepare(topologies, api, secrets, strict=strict, generate=False)
    return result


async def apply(
    topologies: Sequence[LoadedTopology],
    api: ManagementApi,
    secrets: SecretStore,
    progress: Progress | None = None,
    *,
    strict: bool = True,
) -> ApplyResult:
    """Writes the difference, and nothing if there is none.

    Unless `strict`, references may be to objects that the broker holds, and objects of an owner are not changed.
    Blocked steps are returned, not raised: everything else is done. Raises `InvalidTopology` and `SecretError` before
    anything is written at the broker, `ApplyIncomplete` when the broker refused steps, `BrokerError` when it is gone.
    """
    result, observed, known, queues = await _prepare(topologies, api, secrets, strict=strict, generate=True)
    check_rights(api.username, result.plan, observed)
    await execute(result.plan, api, known.credentials, progress, queues=queues)
    return result


async def _prepare(
    topologies: Sequence[LoadedTopology], api: ManagementApi, secrets: SecretStore, *, strict: bool, generate: bool
) -> tuple[ApplyResult, BrokerState, BrokerAccounts, Mapping[Key, Body]]:
    """The result with its plan, the observed state, the accounts, and the wanted queues."""
    if strict:
        validate(topologies)  # before any request
    observed = await observe(api, {item.spec.vhost for item in topologies})
    found = check(topologies, (), None if strict else observed)
    if errors := errors_in(found):
        raise InvalidTopology(errors)
    records = {} if strict else await ownership.records(api)
    if not strict:
        _check_owners(topologies, records, observed, await accounts(topologies, secrets, generate=False))
    known = await accounts(topologies, secrets, generate=generate)
    wanted = desired(topologies, known.usernames)
    steps = plan(wanted, observed, known.credentials).steps
    result = ApplyResult(
        Plan(tuple(_with_hint(step) for step in steps)),
        tuple(_unnamed(wanted, observed, records.values())),
        tuple(map(str, found)),
    )
    return result, observed, known, wanted[ObjectKind.QUEUE]


def _check_owners(
    topologies: Sequence[LoadedTopology],
    records: Mapping[str, OwnerRecord],
    observed: BrokerState,
    known: BrokerAccounts,
) -> None:
    """The owner of an object would change it back."""
    steps = plan(desired(topologies, known.usernames), observed, known.credentials)
    claims.check_claims(topologies, "", frozenset(step.object for step in steps.writes), records)


def _with_hint(step: PlanStep) -> PlanStep:
    if step.action is not Action.BLOCKED or not step.changes or not (hint := migration_hint(step)):
        return step
    return msgspec.structs.replace(step, reason=f"{step.reason}{hint}, with --owner")


def _unnamed(wanted: BrokerState, observed: BrokerState, records: Iterable[OwnerRecord]) -> Iterator[str]:
    """Without a record, a binding that the files named before looks like one that another client made."""
    claimed = {identity for record in records for kind, identity in record.claims if kind is ObjectKind.BINDING}
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
    """As `execute_plan`, but raises `ApplyIncomplete` when the broker refused steps."""
    done = await execute_plan(steps, api, credentials, queues or {}, progress)
    if done.failures:
        raise ApplyIncomplete(
            [(title(each.step), each.reason) for each in done.failures],
            [(title(each.step), f"{each.waits_for[0].value} {each.waits_for[1]}") for each in done.skipped],
        )
