"""Looking without touching, and hands off."""

from broker_topology.broker.management_api import path
from tests.kubernetes.cluster import SECRET, condition, has
from tests.kubernetes.site import Site


async def test_mode_plan_tells_what_enforce_would_do_and_writes_nothing(place: Site) -> None:
    await place.operator()
    users = {place.user("u"): {"secretName": "u"}}
    await place.create("shop", mode="Plan", queues={"a": {}, "b": {}}, users=users)
    planned = await place.until("shop", has("Planned"))
    assert any("queue a (quorum)" in line for line in planned["status"]["plan"]["steps"])
    assert condition(planned, "Drifted")["status"] == "True"
    assert await place.at_broker("queues") == {}
    assert await place.cluster.get(SECRET, place.namespace, "u") is None
    await place.change("shop", mode="Enforce")
    await place.until("shop")
    assert set(await place.at_broker("queues")) == {"a", "b"}


async def test_what_is_probably_a_mistake_is_a_warning_and_strict_refuses_it(place: Site) -> None:
    await place.operator()
    user = place.user("u")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    users = {user: {"secretName": "u", "permissions": everything}}
    await place.create("shop", exchanges={"events": {"type": "topic"}}, users=users)
    (warning,) = (await place.until("shop"))["status"]["warnings"]
    assert f"spec.users.{user}.topicPermissions: permissions.write allows topic exchange events" in warning
    await place.change("shop", strict=True)
    refused = await place.until("shop", has("Invalid"))
    assert "permissions.write allows topic exchange events" in condition(refused)["message"]
    limited = [{"exchange": "events", "write": "^u"}]
    await place.change(
        "shop", users={user: {"secretName": "u", "permissions": everything, "topicPermissions": limited}}
    )
    assert "warnings" not in (await place.until("shop"))["status"]


async def test_a_paused_resource_is_left_alone_until_it_is_not(place: Site) -> None:
    await place.operator()
    await place.create("shop", resyncSeconds=5, queues={"a": {}})
    await place.until("shop")
    await place.annotate("shop", paused="true")
    paused = await place.until("shop", has("Paused"))
    assert condition(paused)["status"] == "Unknown"
    assert condition(paused, "Paused")["status"] == "True"
    async with place.api() as api:
        await api.delete(path("queues", place.vhost, "a"))
    await place.change("shop", queues={"b": {}})
    await place.until("shop", lambda body: body["status"]["observedGeneration"] == body["metadata"]["generation"])
    assert await place.at_broker("queues") == {}
    await place.annotate("shop", paused=None)
    await place.until("shop")
    assert set(await place.at_broker("queues")) == {"a", "b"}


async def test_a_queue_with_messages_outlives_its_resource(place: Site) -> None:
    await place.operator()
    await place.create("shop", queues={"full": {}, "empty": {}})
    await place.until("shop")
    await place.publish("full", 3)
    await place.delete("shop")
    await place.until_gone("shop")
    assert set(await place.at_broker("queues")) == {"full"}
    (told,) = await place.cluster.events(place.namespace, "Released")
    assert "kept" in told
    assert "queue full" in told


async def test_deletion_policy_retain_keeps_the_objects_and_the_passwords(place: Site) -> None:
    await place.operator()
    users = {place.user("u"): {"secretName": "u"}}
    await place.create("shop", deletionPolicy="Retain", queues={"a": {}}, users=users)
    await place.until("shop")
    await place.delete("shop")
    await place.until_gone("shop")
    assert set(await place.at_broker("queues")) == {"a"}
    assert set(await place.at_broker("users")) == set(users)
    secret = await place.cluster.get(SECRET, place.namespace, "u")
    assert secret is not None
    assert not secret["metadata"].get("ownerReferences")
    await place.create("shop", queues={"a": {}}, users=users)
    await place.until("shop")
