"""Behaviour that only a real API server has: validation against the definition, and broken connections."""

import asyncio
from urllib.parse import urlsplit

import pytest
import yaml

from faults.proxy import FaultProxy
from tests.kubernetes.api_client import SECRET, condition, kubeconfig
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import ROOT, running_operator
from tests.unit.topology_operator.refused_specs import REFUSED
from topology_operator.errors import KubernetesError
from topology_operator.kubernetes.objects import Object

pytestmark = pytest.mark.real


async def dry_run(env: OperatorEnv, body: Object) -> Object:
    """Lets the API server validate the Topology and fill in defaults, and stores nothing."""
    path = f"/apis/warren.dev/v1alpha1/namespaces/{env.namespace}/topologies?dryRun=All"
    return await env.api.send("POST", path, body)


@pytest.mark.parametrize("case", REFUSED)
async def test_the_server_refuses_what_the_emulator_refuses(env: OperatorEnv, case: str) -> None:
    body, words = REFUSED[case]
    with pytest.raises(KubernetesError) as refusal:
        await dry_run(env, {**body, "metadata": {"name": "test"}})
    assert refusal.value.status == 422
    assert words in str(refusal.value) or words in {"too small", "should match", "Duplicate value"}


async def test_the_server_fills_in_the_defaults_of_the_model(env: OperatorEnv) -> None:
    body = env.topology("test", queues={"q": {}}, users={"u": {"secretName": "s"}})
    stored = (await dry_run(env, body))["spec"]
    assert stored["queues"]["q"] == {
        "type": "quorum",
        "durable": True,
        "autoDelete": False,
        "singleActiveConsumer": False,
        "argumentChange": "Block",
    }
    assert stored["users"]["u"]["permissions"] == {"configure": "^$", "write": "^$", "read": "^$"}
    assert (stored["mode"], stored["deletionPolicy"], stored["prune"]) == ("Enforce", "Delete", "EmptyOnly")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vhost": "other"}, "the virtual host cannot be changed"),
        ({"broker": {"secretRef": {"name": "other"}}}, "the broker cannot be changed"),
    ],
    ids=["vhost", "broker"],
)
async def test_vhost_and_broker_are_immutable(env: OperatorEnv, change: Object, words: str) -> None:
    await env.create("shop", mode="Plan")
    with pytest.raises(KubernetesError, match=words):
        await env.change("shop", **change)


async def test_the_server_accepts_every_topology_of_the_project(env: OperatorEnv) -> None:
    for file in sorted((ROOT / "charts/warren/topology").glob("[!k]*.yaml")):
        for body in yaml.safe_load_all(file.read_text()):
            body["spec"]["broker"] = {"secretRef": {"name": "broker"}}
            await dry_run(env, body)


async def test_an_operator_whose_connections_break_misses_nothing(env: OperatorEnv) -> None:
    """The operator reaches the API server through a proxy, which breaks every connection while things change."""
    parts = urlsplit(env.api.server)
    token = yaml.safe_load(env.kubeconfig.read_text())["users"][0]["user"]["token"]
    async with FaultProxy(parts.port or 443, parts.hostname or "").serving() as proxy:
        # The API server may be on another machine, whose certificate need not name the proxy's address.
        server = f"{parts.scheme}://127.0.0.1:{proxy.port}"
        proxied = kubeconfig(env.folder, server, token, None, "proxied")
        async with running_operator(proxied, env.folder, namespaces=env.namespace):
            await env.create_ready("shop", queues={"a": {}}, users={env.user("u"): {"secretName": "u"}})
            proxy.refuse()
            await env.change("shop", queues={"b": {}})
            await env.create("other", queues={"c": {}})
            await env.delete_secret("u")
            await asyncio.sleep(1)
            proxy.heal()
            for name in ("shop", "other"):
                await env.wait_until_ready(name)
            await env.api.wait_until(SECRET, env.namespace, "u", bool)
            assert condition(await env.get("shop"))["status"] == "True"
    assert set(await env.at_broker("queues")) == {"a", "b", "c"}
