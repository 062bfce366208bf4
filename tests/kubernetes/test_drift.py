"""What somebody else changes at the broker is put back, and told."""

from broker_topology.broker.management_api import path
from tests.kubernetes.api_client import TOPOLOGY, condition, eventually, has
from tests.kubernetes.environment import OperatorEnv

SEEN = "Handler 'create_registry.<locals>.on_changed' succeeded."
SOON = 5
"""The shortest time between two comparisons."""


async def test_drift_is_repaired_counted_and_named(env: OperatorEnv) -> None:
    operator = await env.operator()
    await env.create("shop", resyncSeconds=SOON, queues={"a": {}, "b": {}}, policies={"p": policy(1)})
    await env.until("shop")
    async with env.api() as api:
        await api.delete(path("queues", env.vhost, "a"))
        await api.put(path("policies", env.vhost, "p"), {"pattern": "^other$", "definition": {"max-length": 1}})
    drifted = await env.until("shop", has("Repaired", "Drifted"))
    assert condition(drifted, "Drifted")["status"] == "True"
    assert "queue a" in condition(drifted, "Drifted")["message"]
    assert drifted["status"]["drift"]["repaired"] == 2
    assert set(await env.at_broker("queues")) == {"a", "b"}
    assert any("queue a" in message for message in await env.cluster.events(env.namespace, "DriftRepaired"))
    labels = f'namespace="{env.namespace}",topology="shop"'
    assert await operator.metric(f'topology_drift_repaired_total{{kind="queue",{labels}}}') == 1
    calm = await env.until("shop", has("InSync", "Drifted"))
    assert condition(calm)["status"] == "True"
    assert "last repair at" in condition(calm, "Drifted")["message"]


async def test_a_virtual_host_deleted_by_hand_comes_back_with_everything_in_it(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", resyncSeconds=SOON, queues={"a": {}}, users={env.user("u"): user()})
    await env.until("shop")
    async with env.api() as api:
        await api.delete(path("vhosts", env.vhost))
    repaired = await env.until("shop", has("Repaired", "Drifted"))
    assert f"vhost {env.vhost}" in condition(repaired, "Drifted")["message"]
    assert set(await env.until_broker("queues", bool)) == {"a"}
    await env.until("shop")


async def test_what_cannot_be_changed_in_place_is_blocked_with_the_exact_difference(env: OperatorEnv) -> None:
    await env.operator()
    await env.create("shop", resyncSeconds=SOON, queues={"a": {"maxLength": 10}, "b": {}})
    await env.until("shop")
    await env.change("shop", queues={"a": {"maxLength": 20}})
    blocked = await env.until("shop", has("Blocked"))
    assert condition(blocked, "Blocked")["status"] == "True"
    assert any("x-max-length: 10 -> 20" in line for line in blocked["status"]["plan"]["steps"])
    states = {each["name"]: each["state"] for each in blocked["status"]["objects"] if each["kind"] == "queue"}
    assert states == {"a": "Blocked", "b": "Ready"}
    await env.change("shop", queues={"a": {"maxLength": 10}})
    healed = await env.until("shop")
    assert condition(healed, "Blocked")["status"] == "False"


async def test_a_resource_at_rest_costs_no_write_and_no_second_look(env: OperatorEnv) -> None:
    operator = await env.operator()
    await env.create("shop", queues={"a": {}}, users={env.user("u"): user()})
    ready = await env.until("shop")
    looks = 'topology_reconcile_duration_seconds_count{reason="Synced"}'
    before = await operator.metric(looks)

    # a write to the status, by whomever, wakes nobody
    seen, woken = len(operator.told(SEEN)), len(operator.told("reconcile requested"))
    status = {"status": {"lastError": "written by the test"}}
    await env.cluster.patch(TOPOLOGY, env.namespace, "shop", status, "status")

    async def saw_it() -> bool:
        return len(operator.told(SEEN)) > seen

    await eventually(saw_it)
    assert len(operator.told("reconcile requested")) == woken
    await env.cluster.patch(TOPOLOGY, env.namespace, "shop", {"status": {"lastError": None}}, "status")

    await env.annotate("shop", other="x")  # wakes it: one more look, and nothing to write

    async def looked_again() -> bool:
        return await operator.metric(looks) != before

    await eventually(looked_again)
    now = await env.get("shop")
    assert now["status"] == ready["status"]
    assert [field for field in now["metadata"]["annotations"] if "last-handled" in field] == []
    assert await operator.metric(looks) == (before or 0) + 1


def policy(length: int) -> dict[str, object]:
    return {"pattern": "^a$", "definition": {"max-length": length}}


def user() -> dict[str, object]:
    return {"secretName": "u", "permissions": {"read": ".*"}}
