"""Each kind of object of an owner is created, changed, repaired, pruned, retained and finalized."""

from collections import Counter

import pytest

from broker_topology import Status
from broker_topology.broker.management_api import path
from broker_topology.broker.ownership import records
from broker_topology.planning.rendering import title
from tests.integration.topology.full_spec import OBJECTS, SPEC

BARE = {}


@pytest.fixture
async def made(broker, api):
    outcome = await broker.reconcile(SPEC, api=api)
    assert outcome.ready, [str(each) for each in outcome.objects if each.status is not Status.READY]
    assert Counter(each.status for each in outcome.objects) == {Status.READY: OBJECTS}
    assert outcome.repaired == ()
    return outcome


async def test_reconciling_twice_writes_nothing_the_second_time(broker, api, made):
    api.requests.clear()
    again = await broker.reconcile(SPEC, api=api)
    assert again.ready
    assert not again.plan
    assert set(api.requests) == {"GET"}


async def test_plan_mode_writes_nothing_anywhere(broker, api):
    api.requests.clear()
    outcome = await broker.reconcile(SPEC | {"mode": "Plan"}, api=api)
    assert not outcome.ready
    assert {each.status for each in outcome.objects} == {Status.PENDING}
    assert len(outcome.plan.writes) == OBJECTS
    assert set(api.requests) == {"GET"}
    assert not broker.secrets_dir.exists()


CAP = {"pattern": "x", "definition": {"max-length": 1}}
DRIFT = {
    "queue": lambda v, u: ("DELETE", path("queues", v, "parking"), None),
    "exchange": lambda v, u: ("DELETE", path("exchanges", v, "dlx"), None),
    "binding": lambda v, u: ("DELETE", path("bindings", v, "e", "events", "q", "q", "order.%2A"), None),
    "permission": lambda v, u: ("PUT", path("permissions", v, u), {"configure": ".*", "write": "", "read": ""}),
    "topic permission": lambda v, u: ("DELETE", path("topic-permissions", v, u), None),
    "policy": lambda v, u: ("DELETE", path("policies", v, "short"), None),
    "operator policy": lambda v, u: ("PUT", path("operator-policies", v, "cap"), CAP),
    "vhost limit": lambda v, u: ("DELETE", path("vhost-limits", v, "max-queues"), None),
    "user limit": lambda v, u: ("PUT", path("user-limits", u, "max-channels"), {"value": 1}),
    "user": lambda v, u: ("PUT", path("users", u), {"password": "stolen", "tags": "administrator"}),
    "vhost": lambda v, u: ("PUT", path("vhosts", v), {"description": "mine"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(DRIFT))
async def test_drift_is_repaired_and_reported(broker, api, made, kind):
    method, target, body = DRIFT[kind](broker.vhost, broker.user_name("writer"))
    await (api.delete(target) if method == "DELETE" else api.put(target, body))
    outcome = await broker.reconcile(SPEC, api=api)
    assert outcome.ready
    assert kind in {step.kind.value for step in outcome.repaired}, [title(step) for step in outcome.repaired]
    assert not (await broker.reconcile(SPEC, api=api)).plan


async def test_a_virtual_host_deleted_by_hand_comes_back_with_everything(broker, api, made):
    await api.delete(path("vhosts", broker.vhost))
    outcome = await broker.reconcile(SPEC, api=api)
    assert outcome.ready
    assert len(outcome.repaired) == OBJECTS - 3  # the user and its two limits belong to the whole broker
    assert not (await broker.reconcile(SPEC, api=api)).plan


async def test_a_changed_specification_is_no_drift(broker, api, made):
    changed = SPEC | {"queues": SPEC["queues"] | {"new": {}}, "vhostLimits": {"maxQueues": 60, "maxConnections": 20}}
    outcome = await broker.reconcile(changed, api=api)
    assert outcome.ready
    assert [title(step) for step in outcome.plan.steps] == [
        f"vhost limit {broker.vhost} max-queues (60)",
        "queue new (quorum)",
    ]
    assert outcome.repaired == ()


async def test_a_deleted_secret_is_generated_again_and_is_no_drift(broker, api, made):
    (broker.secrets_dir / "writer" / "password").unlink()
    outcome = await broker.reconcile(SPEC, api=api)
    assert outcome.ready
    assert [title(step) for step in outcome.plan.steps] == [
        f"user {broker.user_name('writer')} (secret writer, monitoring)"
    ]
    assert outcome.repaired == ()
    credentials = await broker.credentials("writer")
    async with broker.channel(broker.user_name("writer"), credentials.password) as channel:
        await channel.queue_declare("q", passive=True)


async def test_undeclared_objects_are_deleted(broker, api, made):
    outcome = await broker.reconcile(BARE, api=api)
    assert outcome.ready
    assert not outcome.of(Status.RETAINED), [str(each) for each in outcome.objects]
    assert {each.kind.value for each in outcome.objects} == {"vhost"}
    assert [each["name"] for each in await api.get(path("queues", broker.vhost))] == []
    names = [each["name"] for each in await api.get(path("exchanges", broker.vhost))]
    assert all(not name or name.startswith("amq.") for name in names)
    assert await api.get(path("policies", broker.vhost)) == []
    assert await api.get(path("operator-policies", broker.vhost)) == []
    assert await api.get(path("vhost-limits", broker.vhost)) == []
    assert broker.user_name("writer") not in {each["name"] for each in await api.get(path("users"))}
    record = (await records(api))[broker.owner()]
    assert [kind.value for kind, _ in record.claims] == ["vhost"]
    api.requests.clear()
    assert not (await broker.reconcile(BARE, api=api)).plan
    assert set(api.requests) == {"GET"}


async def test_prune_never_retains_with_a_reason(broker, api, made):
    outcome = await broker.reconcile({"prune": "Never"}, api=api)
    assert outcome.ready
    kept = outcome.of(Status.RETAINED)
    assert len(kept) == OBJECTS - 1
    assert {each.message for each in kept} == {"prune: Never"}
    assert not outcome.plan
    assert (await broker.reconcile(SPEC, api=api)).ready


async def test_finalizing_deletes_every_object_and_the_record(broker, api, made):
    outcome = await broker.finalize(SPEC, api=api)
    assert outcome.failures == ()
    assert {each.status for each in outcome.objects} == {Status.DELETED}
    assert broker.vhost not in {each["name"] for each in await api.get(path("vhosts"))}
    assert broker.user_name("writer") not in {each["name"] for each in await api.get(path("users"))}
    assert broker.owner() not in await records(api)
    assert (await broker.finalize(SPEC, api=api)).objects == ()


@pytest.mark.parametrize(("field", "value"), [("deletionPolicy", "Retain"), ("mode", "Plan")])
async def test_finalizing_may_retain_every_object(broker, api, made, field, value):
    outcome = await broker.finalize(SPEC | {field: value}, api=api)
    assert {each.message for each in outcome.of(Status.RETAINED)} == {f"{field}: {value}"}
    assert broker.owner() not in await records(api)
    again = await broker.reconcile(SPEC, api=api)  # adopts the existing objects
    assert again.ready
    assert not again.plan


async def test_existing_objects_are_adopted_and_the_virtual_host_is_kept(broker, api):
    await api.put(path("vhosts", broker.vhost), {})
    await api.put(path("exchanges", broker.vhost, "rest"), {"type": "fanout", "durable": True})
    await broker.reconcile({"exchanges": {"rest": {"type": "fanout"}}}, api=api)
    outcome = await broker.finalize({}, api=api)
    assert [str(each) for each in outcome.objects] == [
        "exchange rest: Deleted",
        f"vhost {broker.vhost}: Retained (it existed before)",
    ]
