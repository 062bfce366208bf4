"""Looking without touching, and hands off."""

from broker_topology.broker.management_api import path
from tests.kubernetes.api_client import SECRET, condition, has
from tests.kubernetes.environment import OperatorEnv


async def test_mode_plan_tells_what_enforce_would_do_and_writes_nothing(env: OperatorEnv) -> None:
    await env.operator()
    users = {env.user("u"): {"secretName": "u"}}
    await env.create("shop", mode="Plan", queues={"a": {}, "b": {}}, users=users)
    planned = await env.until("shop", has("OutOfSync"))
    assert any("queue a (quorum)" in line for line in planned["status"]["plan"]["steps"])
    assert condition(planned, "Drifted")["status"] == "True"
    assert await env.at_broker("queues") == {}
    assert await env.cluster.get(SECRET, env.namespace, "u") is None
    await env.change("shop", mode="Enforce")
    await env.until("shop")
    assert set(await env.at_broker("queues")) == {"a", "b"}


async def test_what_is_probably_a_mistake_is_a_warning_and_strict_refuses_it(env: OperatorEnv) -> None:
    await env.operator()
    user = env.user("u")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    users = {user: {"secretName": "u", "permissions": everything}}
    await env.create("shop", exchanges={"events": {"type": "topic"}}, users=users)
    (warning,) = (await env.until("shop"))["status"]["warnings"]
    assert f"spec.users.{user}.topicPermissions: permissions.write allows topic exchange events" in warning
    await env.change("shop", strict=True)
    refused = await env.until("shop", has("InvalidSpec"))
    assert "permissions.write allows topic exchange events" in condition(refused)["message"]
    limited = [{"exchange": "events", "write": "^u"}]
    await env.change("shop", users={user: {"secretName": "u", "permissions": everything, "topicPermissions": limited}})
    assert "warnings" not in (await env.until("shop"))["status"]


async def test_a_paused_resource_is_left_alone_until_it_is_not(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", resyncSeconds=5, queues={"a": {}})
    await env.until("shop")
    await env.annotate("shop", paused="true")
    paused = await env.until("shop", has("Paused"))
    assert condition(paused)["status"] == "Unknown"
    assert condition(paused, "Paused")["status"] == "True"
    async with env.api() as api:
        await api.delete(path("queues", env.vhost, "a"))
    await env.change("shop", queues={"b": {}})
    await env.until("shop", lambda body: body["status"]["observedGeneration"] == body["metadata"]["generation"])
    assert await env.at_broker("queues") == {}
    await env.annotate("shop", paused=None)
    await env.until("shop")
    assert set(await env.at_broker("queues")) == {"a", "b"}


async def test_a_queue_with_messages_outlives_its_resource(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", queues={"full": {}, "empty": {}})
    await env.until("shop")
    await env.publish("full", 3)
    await env.delete("shop")
    await env.until_gone("shop")
    assert set(await env.at_broker("queues")) == {"full"}
    (told,) = await env.cluster.events(env.namespace, "CleanedUp")
    assert "kept" in told
    assert "queue full" in told


async def test_deletion_policy_retain_keeps_the_objects_and_the_passwords(env: OperatorEnv) -> None:
    await env.operator()
    users = {env.user("u"): {"secretName": "u"}}
    await env.create("shop", deletionPolicy="Retain", queues={"a": {}}, users=users)
    await env.until("shop")
    await env.delete("shop")
    await env.until_gone("shop")
    assert set(await env.at_broker("queues")) == {"a"}
    assert set(await env.at_broker("users")) == set(users)
    secret = await env.cluster.get(SECRET, env.namespace, "u")
    assert secret is not None
    assert not secret["metadata"].get("ownerReferences")
    await env.create("shop", queues={"a": {}}, users=users)
    await env.until("shop")
