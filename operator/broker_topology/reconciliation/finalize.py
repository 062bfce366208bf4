"""Deletes the objects of an owner, except those that hold messages or are used by others, and then its record."""

from collections.abc import Iterable

from broker_topology.broker import ownership
from broker_topology.broker.backlog import QUIET_SECONDS
from broker_topology.broker.leaderless import mark_leaderless_queues
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.migration.context import MIGRATION_NOTE, Migrate, MigrationContext
from broker_topology.planning.plan import Plan
from broker_topology.planning.rendering import title
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from broker_topology.planning.state import ObjectId, ObjectKind, by_kind_and_key, empty_state
from broker_topology.reconciliation.deletion import Deletion, DeletionAllowance
from broker_topology.resource.model import LoadedTopology


async def finalize(
    resource: LoadedTopology,
    *,
    owner: str,
    api: ManagementApi,
    migrate: Migrate | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> TopologyResult:
    """Deletes what the owner's record names, as `deletionPolicy` and `deleteWithMessages` allow, and then the record.

    With `mode: Plan` only the record is deleted. Objects that stay have no owner afterwards; the result has the reason.
    Only the record decides what is deleted, never the resource, so an invalid or partly created resource can be
    finalized. The record stays, and the next call continues, while the broker refuses a deletion and while messages are
    being moved, which `migrate` has to complete first. Raises `BrokerError` when the broker does not answer.
    """
    known = await ownership.records(api)
    record = known.pop(owner, None)
    if record is None:
        return TopologyResult(Plan(()))
    observed = await observe(api, record.vhosts)
    if MIGRATION_NOTE in record.notes:
        context = MigrationContext(resource, owner, record, empty_state(), observed, Plan(()), api)
        if unfinished := await _continue_migration(context, migrate):
            return unfinished
        observed = await observe(api, record.vhosts)
    await mark_leaderless_queues(api, observed, record.queues_being_declared)
    existing = [(kind, each) for kind, each in record.claims if each in observed[kind]]
    if (retain := resource.spec.deletion_policy == "Retain") or resource.spec.mode == "Plan":
        await ownership.remove(api, owner)
        reason = "deletionPolicy: Retain" if retain else "mode: Plan"
        return TopologyResult(Plan(()), _states((each, Status.RETAINED, reason) for each in existing))
    deletion = Deletion(api, observed, record, known.values(), DeletionAllowance.of([resource]), quiet_seconds)
    planned = await deletion.plan(existing, trust_counts=False)
    steps = planned.steps(observed)
    done = await deletion.execute(planned)
    if not done.failures:
        await ownership.remove(api, owner)
    refused = {each.step.object: each.reason for each in done.failures}
    deleted = tuple(step for step in steps if step.object not in {*done.kept, *refused})
    retained = [(each, Status.RETAINED, reason) for each, reason in done.kept.items()]
    states = _states(retained + [(step.object, Status.DELETED, "") for step in deleted])
    states += _states((each, Status.FAILED, reason) for each, reason in refused.items())
    failures = tuple((title(each.step), each.reason) for each in done.failures)
    return TopologyResult(Plan(deleted), states, failures=failures)


async def _continue_migration(context: MigrationContext, migrate: Migrate | None) -> TopologyResult | None:
    """Returns the result while messages of a queue are outside of it; None once they are back."""
    if migrate is None:
        message = "the messages of a queue are being moved; the process that began that has to complete it first"
        return TopologyResult(Plan(()), failures=(("migration", message),))
    held = [each for each in await migrate(context) if each.kind is ObjectKind.QUEUE]
    if not held:
        return None
    states = tuple(ObjectState.of(each.object, Status.MIGRATING, each.message) for each in held)
    return TopologyResult(Plan(()), states, failures=tuple((f"queue {each.key}", each.message) for each in held))


def _states(several: Iterable[tuple[ObjectId, Status, str]]) -> tuple[ObjectState, ...]:
    return tuple(ObjectState.of(*each) for each in sorted(several, key=lambda item: by_kind_and_key(item[0])))
