"""Broken watches lose no change; health, metrics, and missing rights."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import yaml

from tests.kubernetes.api_client import condition, eventually, has_reason
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import NAMES, OperatorEnv
from tests.kubernetes.operator_process import ROOT, OperatorProcess


@pytest.mark.emulated
@pytest.mark.parametrize("expired", [False, True], ids=["cut", "expired"])
async def test_changes_while_watches_are_broken_are_noticed(
    env: OperatorEnv, emulator: ApiServerEmulator, expired: bool
) -> None:
    await env.start_operator(retry_seconds="3600", retry_max_seconds="3600")
    await env.create_ready("shop", queues={"a": {}}, users={env.user("u"): {"secretName": "u"}})
    before = await env.secret("u")
    emulator.break_watches(expired=expired)
    await env.delete_secret("u")
    await env.wait_until_secret("u", lambda secret: secret != before)
    emulator.break_watches(expired=expired)
    await env.change("shop", queues={"b": {}})
    await env.create("other", queues={"c": {}})
    for name in ("shop", "other"):
        await env.wait_until_ready(name)
    assert set(await env.at_broker("queues")) == {"a", "b", "c"}


async def test_probes_and_metrics_follow_a_topology(env: OperatorEnv, operator: OperatorProcess) -> None:
    assert await operator.http_get("/livez") == (200, "ok\n")
    assert await operator.http_get("/readyz") == (200, "ok\n")
    await env.create_ready("shop", queues={"a": {}})
    labels = f'namespace="{env.namespace}",topology="shop"'
    state = f'namespace="{env.namespace}",state="Ready",topology="shop"'
    assert await operator.metric(f"topology_ready{{{labels}}}") == 1
    assert (await operator.metric(f"topology_objects{{{state}}}") or 0) >= 2
    assert (await operator.metric(f"topology_last_success_timestamp_seconds{{{labels}}}") or 0) > 1.7e9
    await env.delete("shop")
    assert await operator.metric(f"topology_ready{{{labels}}}") is None
    assert await operator.stop() == 0


@pytest.mark.usefixtures("operator")
async def test_a_missing_right_is_reported_by_the_topology(env: OperatorEnv) -> None:
    home = await env.new_namespace(f"{env.namespace}-closed")
    await env.put_broker_secret(namespace=home)
    await env.create("shop", broker={"secretRef": {"name": "broker", "namespace": home}})
    refused = await env.wait_until("shop", has_reason("Forbidden"))
    assert "the operator lacks a right" in condition(refused)["message"]
    await env.grant(home)
    await env.wait_until("shop", has_reason("NamespaceNotAllowed"))


@pytest.mark.emulated
async def test_the_operator_waits_for_the_definition_and_for_its_rights(
    env: OperatorEnv, emulator: ApiServerEmulator
) -> None:
    definition = yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text())
    emulator.uninstall(definition)
    await env.api.delete_object(NAMES["ClusterRoleBinding"], "", f"topology-operator-topologies-{env.namespace}")
    starting = asyncio.create_task(env.start_operator())

    def logged(words: str) -> Callable[[], Awaitable[bool]]:
        async def check() -> bool:
            return words in env.logs()

        return check

    await eventually(logged("is not installed; install the CRD"))
    emulator.install(definition)
    await eventually(logged("cannot list topologies"))
    await env.grant(env.namespace, only="ClusterRoleBinding")
    operator = await starting
    await env.create_ready("shop", queues={"a": {}})
    assert await operator.stop() == 0
