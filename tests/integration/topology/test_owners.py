"""Several Topologies at one broker: references between them, and at most one owner for each object."""

import asyncio

import pytest

from broker_topology import InvalidTopology, OwnershipConflict, Status
from broker_topology.broker.ownership import records
from broker_topology.planning.state import Key, ObjectKind

SPEC = {"queues": {"q": {}}, "exchanges": {"mine": {"type": "fanout"}}}


async def test_a_claimed_object_is_refused_to_a_second_owner_and_the_error_names_the_first(broker, api):
    await broker.reconcile(SPEC, "first", api=api)
    api.requests.clear()
    with pytest.raises(OwnershipConflict) as conflict:
        await broker.reconcile({"queues": {"q": {}, "r": {}}}, "second", api=api)
    assert [(each.path, each.message) for each in conflict.value.findings] == [
        ("spec.queues.q", f"queue q belongs to {broker.owner('first')} already; declare it in one Topology only")
    ]
    assert set(api.requests) == {"GET"}
    assert (await broker.reconcile(SPEC, "first", api=api)).ready, "the refusal changed the first owner's objects"


async def test_an_object_that_its_owner_no_longer_declares_may_be_claimed(broker, api):
    await broker.reconcile(SPEC, "first", api=api)
    await broker.reconcile({"exchanges": SPEC["exchanges"]}, "first", api=api)
    assert (await broker.reconcile({"queues": {"q": {}}}, "second", api=api)).ready
    await broker.finalize({}, "first", api=api)
    assert (await broker.reconcile(SPEC, "second", api=api)).ready


async def test_of_two_concurrent_claims_at_most_one_succeeds(broker, api):
    spec = {"exchanges": SPEC["exchanges"]}
    for _ in range(4):
        await broker.finalize({}, "first", api=api)
        await broker.finalize({}, "second", api=api)
        outcomes = await asyncio.gather(
            broker.reconcile(spec, "first", api=api),
            broker.reconcile(spec, "second", api=api),
            return_exceptions=True,
        )
        known = await records(api)
        owners = [
            each
            for each, record in known.items()
            if (ObjectKind.EXCHANGE, Key.of("mine", broker.vhost)) in record.claims
        ]
        assert len(owners) == sum(not isinstance(each, OwnershipConflict) for each in outcomes) <= 1
        assert all(isinstance(each, OwnershipConflict) or each.ready for each in outcomes), outcomes


async def test_the_settings_of_a_virtual_host_have_one_owner(broker, api):
    await broker.reconcile({"vhostSettings": {"description": "a"}}, "first", api=api)
    assert (await broker.reconcile({}, "second", api=api)).ready
    with pytest.raises(OwnershipConflict, match=r"spec.vhostSettings: .* belongs to"):
        await broker.reconcile({"vhostSettings": {"description": "b"}}, "second", api=api)


async def test_a_virtual_host_is_deleted_with_its_last_owner(broker, api):
    await broker.reconcile(SPEC, "first", api=api)
    await broker.reconcile({"queues": {"r": {}}}, "second", api=api)
    outcome = await broker.finalize({}, "first", api=api)
    assert [str(each) for each in outcome.of(Status.RETAINED)] == [
        f"vhost {broker.vhost}: Retained ({broker.owner('second')} uses it as well)"
    ]
    outcome = await broker.finalize({}, "second", api=api)
    assert outcome.of(Status.RETAINED) == ()
    assert not [each for each in await api.get("/api/vhosts?columns=name") if each["name"] == broker.vhost]


async def test_a_reference_to_a_peer_is_pending_until_the_peer_exists(broker, api):
    spec = {"bindings": [{"source": "mine", "queue": "q"}]}
    with pytest.raises(InvalidTopology, match="no Topology declares exchange mine"):
        await broker.reconcile(spec, "second", api=api)
    peers = broker.topology(SPEC, "first")
    early = await broker.reconcile(spec, "second", api=api, peers=peers)
    assert [each.status for each in early.objects if each.kind is ObjectKind.BINDING] == [Status.FAILED]
    assert not early.ready
    await broker.reconcile(SPEC, "first", api=api)
    assert (await broker.reconcile(spec, "second", api=api, peers=peers)).ready


async def test_references_to_observed_objects_are_valid_until_their_deletion(broker, api):
    await broker.reconcile(SPEC, "first", api=api)
    spec = {"exchanges": {"own": {"type": "fanout"}}, "bindings": [{"source": "mine", "queue": "q"}]}
    assert (await broker.reconcile(spec, "second", api=api)).ready
    with pytest.raises(InvalidTopology, match="no Topology declares exchange own"):
        await broker.reconcile({"bindings": [{"source": "own", "queue": "q"}]}, "second", api=api)


async def test_an_invalid_peer_does_not_make_a_topology_invalid(broker, api):
    invalid = broker.topology({"bindings": [{"source": "nowhere", "queue": "q"}]}, "invalid")
    assert (await broker.reconcile(SPEC, "first", api=api, peers=invalid)).ready


async def test_a_user_of_two_topologies_is_deleted_with_the_last_of_them(broker, api):
    user = {"users": {"u": {"secretName": "u", "tags": ["management"]}}}
    await broker.reconcile(user, "first", api=api)
    name = broker.user_name("u")
    (first,) = broker.topology(user, "first")
    second = broker.in_second_vhost(user, "second")
    with pytest.raises(OwnershipConflict, match=f"spec.users.{name}: user {name} belongs to {broker.owner('first')}"):
        await broker.reconcile([second], "second", api=api)
    assert (await broker.reconcile([second], "second", api=api, peers=[first])).ready
    outcome = await broker.finalize(user, "first", api=api)
    assert f"user {name}: Retained ({broker.owner('second')} claims it as well)" in map(str, outcome.objects)
    assert (await broker.reconcile([second], "second", api=api)).ready
    await broker.finalize(user, "second", api=api)
    assert name not in {each["name"] for each in await api.get("/api/users")}
