"""The end of a resource: what its owner has at the broker goes, except what holds messages or is used by others."""

from __future__ import annotations

from broker_topology.broker import ownership
from broker_topology.broker.backlog import QUIET_SECONDS
from broker_topology.broker.lifeless import mark
from broker_topology.broker.management_api import ManagementApi
from broker_topology.broker.observe import observe
from broker_topology.convergence import removal
from broker_topology.convergence.reconciliation import allowed
from broker_topology.convergence.states import state
from broker_topology.migration.situation import MIGRATION_NOTE, Migrate, Situation
from broker_topology.planning.outcome import ObjectState, Outcome, Status
from broker_topology.planning.plan import Plan
from broker_topology.planning.rendering import title
from broker_topology.planning.state import Kind, Object, empty
from broker_topology.resource.model import Loaded


async def release(
    resource: Loaded,
    *,
    owner: str,
    api: ManagementApi,
    migrate: Migrate | None = None,
    quiet_seconds: float = QUIET_SECONDS,
) -> Outcome:
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
        return Outcome(Plan(()))
    vhosts = {each.vhost for _, each in record.claims if each.vhost}
    vhosts |= {each.name[0] for kind, each in record.claims if kind is Kind.VHOST}
    observed = await observe(api, vhosts)
    if MIGRATION_NOTE in record.notes:
        if moving := await _moving(Situation(resource, owner, record, empty(), observed, Plan(()), api), migrate):
            return moving
        observed = await observe(api, vhosts)
    await mark(api, observed, record.declaring)
    there = [(kind, each) for kind, each in record.claims if each in observed[kind]]
    if resource.spec.deletion_policy == "Retain" or resource.spec.mode == "Plan":
        await ownership.remove(api, owner)
        retained = resource.spec.deletion_policy == "Retain"
        kept = dict.fromkeys(there, "deletionPolicy: Retain" if retained else "mode: Plan")
        return Outcome(Plan(()), _states(kept, set()))
    may = allowed([resource])
    leaving = await removal.planned(there, observed, api, record, known.values(), may, believe_counts=False)
    steps = leaving.steps(observed)
    done = await removal.remove(leaving, observed, api, may, quiet_seconds)
    failures = tuple((title(each.step), each.reason) for each in done.failures)
    if not failures:
        await ownership.remove(api, owner)
    refused: set[Object] = {(each.step.kind, each.step.key) for each in done.failures}
    gone = {(step.kind, step.key) for step in steps} - done.kept.keys() - refused
    states = _states(dict(done.kept), gone) + tuple(
        state((each.step.kind, each.step.key), Status.FAILED, each.reason) for each in done.failures
    )
    return Outcome(Plan(tuple(step for step in steps if (step.kind, step.key) in gone)), states, (), failures)


async def _moving(situation: Situation, migrate: Migrate | None) -> Outcome | None:
    """What stands against a release as long as a queue's messages are elsewhere."""
    if migrate is None:
        told = "the messages of a queue are being moved; whoever began that has to bring it to its end first"
        return Outcome(Plan(()), failures=(("migration", told),))
    held = [each for each in await migrate(situation) if each.kind is Kind.QUEUE]
    if not held:
        return None
    states = tuple(state(each.object, Status.MIGRATING, each.message) for each in held)
    return Outcome(Plan(()), states, failures=tuple((f"queue {each.key}", each.message) for each in held))


def _states(kept: dict[Object, str], gone: set[Object]) -> tuple[ObjectState, ...]:
    told = [(each, Status.RETAINED, why) for each, why in kept.items()]
    told += [(each, Status.DELETED, "") for each in gone]
    told.sort(key=lambda item: (item[0][0].value, item[0][1]))
    return tuple(state(each, status, message) for each, status, message in told)
