"""Nothing is missed while a watch is broken; wake-ups come from changes and from nothing else."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import yaml

from tests.kubernetes.api_client import SECRET, condition, eventually, has
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import NAMES, OperatorEnv
from tests.kubernetes.operator_process import ROOT

NEVER = {"retry_seconds": "3600", "retry_max_seconds": "3600"}


@pytest.mark.emulated
@pytest.mark.parametrize("forget", [False, True], ids=["cut", "expired"])
async def test_what_changed_while_the_watches_were_broken_is_noticed(
    env: OperatorEnv, emulator: ApiServerEmulator, forget: bool
) -> None:
    await env.operator(**NEVER)
    await env.create("shop", queues={"a": {}}, users={env.user("u"): {"secretName": "u"}})
    await env.until("shop")
    held = await env.cluster.get(SECRET, env.namespace, "u")
    emulator.break_watches(forget=forget)
    await env.cluster.delete(SECRET, env.namespace, "u")
    await env.cluster.until(SECRET, env.namespace, "u", lambda body: body["metadata"] != (held or {})["metadata"])
    emulator.break_watches(forget=forget)
    await env.change("shop", queues={"b": {}})
    await env.create("other", queues={"c": {}})
    for name in ("shop", "other"):
        await env.until(name)
    assert set(await env.at_broker("queues")) == {"a", "b", "c"}


async def test_health_says_what_is_missing(env: OperatorEnv) -> None:
    operator = await env.operator()
    assert await operator.answer("/livez") == (200, "ok\n")
    assert await operator.answer("/readyz") == (200, "ok\n")
    await env.create("shop", queues={"a": {}})
    await env.until("shop")
    labels = f'namespace="{env.namespace}",topology="shop"'
    state = f'namespace="{env.namespace}",state="Ready",topology="shop"'
    assert await operator.metric(f"topology_ready{{{labels}}}") == 1
    assert (await operator.metric(f"topology_objects{{{state}}}") or 0) >= 2
    assert (await operator.metric(f"topology_last_success_timestamp_seconds{{{labels}}}") or 0) > 1.7e9
    await env.delete("shop")
    await env.until_gone("shop")
    assert await operator.metric(f"topology_ready{{{labels}}}") is None
    assert await operator.stop() == 0


async def test_a_role_without_a_right_is_said_by_the_resource(env: OperatorEnv) -> None:
    home = await env.new_namespace(f"{env.namespace}-closed")
    await env.broker_secret("broker", namespace=home)
    await env.operator()
    await env.create("shop", broker={"secretRef": {"name": "broker", "namespace": home}})
    refused = await env.until("shop", has("Forbidden"))
    assert "the operator lacks a right" in condition(refused)["message"]
    await env.grant(home, account_namespace=env.namespace)
    await env.until("shop", has("NamespaceNotAllowed"))


@pytest.mark.emulated
async def test_an_operator_waits_for_the_definition_and_for_its_rights(
    env: OperatorEnv, emulator: ApiServerEmulator
) -> None:
    definition = yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text())
    emulator.uninstall(definition)
    await env.cluster.delete(NAMES["ClusterRoleBinding"], "", f"topology-operator-topologies-{env.namespace}")
    starting = asyncio.create_task(env.operator())

    def waits_for(words: str) -> Callable[[], Awaitable[bool]]:
        async def told() -> bool:
            return words in env.logs()

        return told

    await eventually(waits_for("is not installed; install the CRD"))
    emulator.install(definition)
    await eventually(waits_for("cannot list topologies"))
    await env.grant(env.namespace, only="ClusterRoleBinding")
    operator = await starting
    await env.create("shop", queues={"a": {}})
    await env.until("shop")
    assert await operator.stop() == 0
