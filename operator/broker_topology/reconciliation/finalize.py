"""The end of a resource: what its owner has at the broker goes, except what holds messages or is used by others."""

from __future__ import annotations

from broker_topology.broker import ownership
from broker_topology.broker.backlog import QUIET_SECONDS
from broker_topology.broker.leaderless import mark
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.migration.context import MIGRATION_NOTE, MigrationContext, RunMigrations
from broker_topology.planning.plan import Plan
from broker_topology.planning.rendering import title
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from broker_topology.planning.state import ObjectId, ObjectKind, empty
from broker_topology.reconciliation import deletion
from broker_topology.reconciliation.object_states import state
from broker_topology.reconciliation.run import allowed
from broker_topology.resource.model import LoadedTopology


async def finalize(
    resource: LoadedTopology,
    *,
    owner: str,
    api: ManagementApi,
    migrate: RunMigrations | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> TopologyResult:
    """Deletes what the owner's record names, as `deletionPolicy` and `deleteWithMessages` say, and then the record.

    With `mode: Plan` only the record goes.

    What is gone already counts as deleted. What stays is no longer owned by anybody; the outcome says why it stays.
    Only the record decides what is deleted, never the resource, so one that was half made, or refused, is released as
    well. While the broker refuses something the record stays, and the next call goes on; so it does while messages are
    being moved, which `migrate` has to bring to its end first. Raises `BrokerError` when the broker is not there.
    """
    known = await ownership.records(api)
    record = known.pop(owner, None)
    if record is None:
        return TopologyResult(Plan(()))
    vhosts = {each.vhost for _, each in record.claims if each.vhost}
    vhosts |= {each.name[0] for kind, each in record.claims if kind is ObjectKind.VHOST}
    observed = await observe(api, vhosts)
    if MIGRATION_NOTE in record.notes:
        if moving := await _moving(
            MigrationContext(resource, owner, record, empty(), observed, Plan(()), api), migrate
        ):
            return moving
        observed = await observe(api, vhosts)
    await mark(api, observed, record.declaring)
    there = [(kind, each) for kind, each in record.claims if each in observed[kind]]
    if resource.spec.deletion_policy == "Retain" or resource.spec.mode == "Plan":
        await ownership.remove(api, owner)
        retained = resource.spec.deletion_policy == "Retain"
        kept = dict.fromkeys(there, "deletionPolicy: Retain" if retained else "mode: Plan")
        return TopologyResult(Plan(()), _states(kept, set()))
    may = allowed([resource])
    leaving = await deletion.planned(there, observed, api, record, known.values(), may, believe_counts=False)
    steps = leaving.steps(observed)
    done = await deletion.remove(leaving, observed, api, may, quiet_seconds)
    failures = tuple((title(each.step), each.reason) for each in done.failures)
    if not failures:
        await ownership.remove(api, owner)
    refused: set[ObjectId] = {(each.step.kind, each.step.key) for each in done.failures}
    gone = {(step.kind, step.key) for step in steps} - done.kept.keys() - refused
    states = _states(dict(done.kept), gone) + tuple(
        state((each.step.kind, each.step.key), Status.FAILED, each.reason) for each in done.failures
    )
    return TopologyResult(Plan(tuple(step for step in steps if (step.kind, step.key) in gone)), states, (), failures)


async def _moving(situation: MigrationContext, migrate: RunMigrations | None) -> TopologyResult | None:
    """What stands against a release as long as a queue's messages are elsewhere."""
    if migrate is None:
        told = "the messages of a queue are being moved; whoever began that has to bring it to its end first"
        return TopologyResult(Plan(()), failures=(("migration", told),))
    held = [each for each in await migrate(situation) if each.kind is ObjectKind.QUEUE]
    if not held:
        return None
    states = tuple(state(each.object, Status.MIGRATING, each.message) for each in held)
    return TopologyResult(Plan(()), states, failures=tuple((f"queue {each.key}", each.message) for each in held))


def _states(kept: dict[ObjectId, str], gone: set[ObjectId]) -> tuple[ObjectState, ...]:
    told = [(each, Status.RETAINED, why) for each, why in kept.items()]
    told += [(each, Status.DELETED, "") for each in gone]
    told.sort(key=lambda item: (item[0][0].value, item[0][1]))
    return tuple(state(each, status, message) for each, status, message in told)
