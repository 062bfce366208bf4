"""Mode Plan, strict, the pause annotation, and objects that outlive their Topology."""

import pytest

from broker_topology.broker.management_api import path
from tests.kubernetes.api_client import SECRET, condition, has_reason
from tests.kubernetes.environment import OperatorEnv

pytestmark = pytest.mark.usefixtures("operator")


async def test_mode_plan_reports_what_enforce_would_do_and_writes_nothing(env: OperatorEnv) -> None:
    users = {env.user("u"): {"secretName": "u"}}
    await env.create("shop", mode="Plan", queues={"a": {}, "b": {}}, users=users)
    planned = await env.wait_until("shop", has_reason("OutOfSync"))
    assert any("queue a (quorum)" in line for line in planned["status"]["plan"]["steps"])
    assert condition(planned, "Drifted")["status"] == "True"
    assert await env.at_broker("queues") == {}
    assert await env.api.get_object(SECRET, env.namespace, "u") is None
    await env.change_ready("shop", mode="Enforce")
    assert set(await env.at_broker("queues")) == {"a", "b"}


async def test_a_probable_mistake_is_a_warning_and_strict_refuses_it(env: OperatorEnv) -> None:
    name = env.user("u")
    user = {"secretName": "u", "permissions": {"configure": ".*", "write": ".*", "read": ".*"}}
    ready = await env.create_ready("shop", exchanges={"events": {"type": "topic"}}, users={name: user})
    (warning,) = ready["status"]["warnings"]
    assert f"spec.users.{name}.topicPermissions: permissions.write allows topic exchange events" in warning
    await env.change("shop", strict=True)
    refused = await env.wait_until("shop", has_reason("InvalidSpec"))
    assert "permissions.write allows topic exchange events" in condition(refused)["message"]
    limited = [{"exchange": "events", "write": "^u"}]
    ready = await env.change_ready("shop", users={name: {**user, "topicPermissions": limited}})
    assert "warnings" not in ready["status"]


async def test_a_paused_topology_is_left_alone(env: OperatorEnv) -> None:
    await env.create_ready("shop", resyncSeconds=5, queues={"a": {}})
    await env.annotate("shop", paused="true")
    paused = await env.wait_until("shop", has_reason("Paused"))
    assert condition(paused)["status"] == "Unknown"
    assert condition(paused, "Paused")["status"] == "True"
    async with env.management_api() as api:
        await api.delete(path("queues", env.vhost, "a"))
    await env.change("shop", queues={"b": {}})
    await env.wait_until("shop", lambda body: body["status"]["observedGeneration"] == body["metadata"]["generation"])
    assert await env.at_broker("queues") == {}
    await env.annotate("shop", paused=None)
    await env.wait_until_ready("shop")
    assert set(await env.at_broker("queues")) == {"a", "b"}


async def test_a_queue_with_messages_outlives_its_topology(env: OperatorEnv) -> None:
    await env.create_ready("shop", queues={"full": {}, "empty": {}})
    await env.publish("full", 3)
    await env.delete("shop")
    assert set(await env.at_broker("queues")) == {"full"}
    (message,) = await env.events("CleanedUp")
    assert "kept" in message
    assert "queue full" in message


async def test_deletion_policy_retain_keeps_objects_and_passwords(env: OperatorEnv) -> None:
    users = {env.user("u"): {"secretName": "u"}}
    await env.create_ready("shop", deletionPolicy="Retain", queues={"a": {}}, users=users)
    await env.delete("shop")
    assert set(await env.at_broker("queues")) == {"a"}
    assert set(await env.at_broker("users")) == set(users)
    assert await env.owners("u") == []
    await env.create_ready("shop", queues={"a": {}}, users=users)
