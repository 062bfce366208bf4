"""Changes at the broker from outside are repaired and reported."""

import pytest

from broker_topology.broker.management_api import path
from tests.kubernetes.api_client import TOPOLOGY, condition, eventually, has_reason
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import OperatorProcess

pytestmark = pytest.mark.usefixtures("operator")

EVENT_HANDLED = "Handler 'create_registry.<locals>.on_changed' succeeded."
MIN_RESYNC_SECONDS = 5
USER = {"secretName": "u", "permissions": {"read": ".*"}}


async def test_drift_is_repaired_counted_and_named(env: OperatorEnv, operator: OperatorProcess) -> None:
    policy = {"pattern": "^a$", "definition": {"max-length": 1}}
    await env.create_ready("shop", resyncSeconds=MIN_RESYNC_SECONDS, queues={"a": {}, "b": {}}, policies={"p": policy})
    async with env.management_api() as api:
        await api.delete(path("queues", env.vhost, "a"))
        await api.put(path("policies", env.vhost, "p"), {"pattern": "^other$", "definition": {"max-length": 1}})
    drifted = await env.wait_until("shop", has_reason("Repaired", condition="Drifted"))
    assert condition(drifted, "Drifted")["status"] == "True"
    assert "queue a" in condition(drifted, "Drifted")["message"]
    assert drifted["status"]["drift"]["repaired"] == 2
    assert set(await env.at_broker("queues")) == {"a", "b"}
    assert any("queue a" in message for message in await env.events("DriftRepaired"))
    labels = f'namespace="{env.namespace}",topology="shop"'
    assert await operator.metric(f'topology_drift_repaired_total{{kind="queue",{labels}}}') == 1
    calm = await env.wait_until("shop", has_reason("InSync", condition="Drifted"))
    assert condition(calm)["status"] == "True"
    assert "last repair at" in condition(calm, "Drifted")["message"]


async def test_a_deleted_virtual_host_is_restored_with_everything_in_it(env: OperatorEnv) -> None:
    await env.create_ready("shop", resyncSeconds=MIN_RESYNC_SECONDS, queues={"a": {}}, users={env.user("u"): USER})
    async with env.management_api() as api:
        await api.delete(path("vhosts", env.vhost))
    repaired = await env.wait_until("shop", has_reason("Repaired", condition="Drifted"))
    assert f"vhost {env.vhost}" in condition(repaired, "Drifted")["message"]
    assert set(await env.wait_until_broker("queues", bool)) == {"a"}
    await env.wait_until_ready("shop")


async def test_a_change_of_an_immutable_argument_is_blocked_with_the_exact_difference(env: OperatorEnv) -> None:
    await env.create_ready("shop", resyncSeconds=MIN_RESYNC_SECONDS, queues={"a": {"maxLength": 10}, "b": {}})
    await env.change("shop", queues={"a": {"maxLength": 20}})
    blocked = await env.wait_until("shop", has_reason("Blocked"))
    assert condition(blocked, "Blocked")["status"] == "True"
    assert any("x-max-length: 10 -> 20" in line for line in blocked["status"]["plan"]["steps"])
    states = {each["name"]: each["state"] for each in blocked["status"]["objects"] if each["kind"] == "queue"}
    assert states == {"a": "Blocked", "b": "Ready"}
    healed = await env.change_ready("shop", queues={"a": {"maxLength": 10}})
    assert condition(healed, "Blocked")["status"] == "False"


async def test_status_writes_request_no_reconcile(env: OperatorEnv, operator: OperatorProcess) -> None:
    await env.create_ready("shop", queues={"a": {}})
    handled, requested = len(operator.logged(EVENT_HANDLED)), len(operator.logged("reconcile requested"))
    status = {"status": {"lastError": "written by the test"}}
    await env.api.patch_object(TOPOLOGY, env.namespace, "shop", status, "status")

    async def handled_another() -> bool:
        return len(operator.logged(EVENT_HANDLED)) > handled

    await eventually(handled_another)
    assert len(operator.logged("reconcile requested")) == requested


async def test_a_reconcile_without_changes_writes_nothing(env: OperatorEnv, operator: OperatorProcess) -> None:
    ready = await env.create_ready("shop", queues={"a": {}}, users={env.user("u"): USER})

    async def reconciles() -> float:
        return await operator.metric('topology_reconcile_duration_seconds_count{reason="Synced"}') or 0

    async def reconciled_again() -> bool:
        return await reconciles() != before

    before = await reconciles()
    await env.annotate("shop", other="x")
    await eventually(reconciled_again)
    now = await env.get("shop")
    assert now["status"] == ready["status"]
    assert [field for field in now["metadata"]["annotations"] if "last-handled" in field] == []
    assert await reconciles() == before + 1
