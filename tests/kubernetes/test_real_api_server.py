"""What only a real API server shows: its own reading of the definition, and watches that break on the wire."""

import asyncio
from urllib.parse import urlsplit

import pytest
import yaml

from faults.proxy import FaultProxy
from tests.kubernetes.api_client import SECRET, ApiError, condition, kubeconfig
from tests.kubernetes.environment import OperatorEnv
from tests.kubernetes.operator_process import ROOT, operating
from tests.unit.topology_operator.refused_specs import REFUSED

pytestmark = pytest.mark.real


@pytest.mark.parametrize("case", REFUSED)
async def test_the_server_refuses_what_the_emulator_refuses_and_says_what_to_do(env: OperatorEnv, case: str) -> None:
    body, words = REFUSED[case]
    body = {**body, "metadata": {"name": "test"}}
    with pytest.raises(ApiError) as refusal:
        await env.cluster.send("POST", dry(env), body)
    assert refusal.value.status == 422
    assert words in str(refusal.value) or words in {"too small", "should match", "Duplicate value"}


async def test_the_server_fills_in_the_models_defaults(env: OperatorEnv) -> None:
    body = env.topology("test", queues={"q": {}}, users={"u": {"secretName": "s"}})
    stored = (await env.cluster.send("POST", dry(env), body))["spec"]
    assert stored["queues"]["q"] == {
        "type": "quorum",
        "durable": True,
        "autoDelete": False,
        "singleActiveConsumer": False,
        "argumentChange": "Block",
    }
    assert stored["users"]["u"]["permissions"] == {"configure": "^$", "write": "^$", "read": "^$"}
    assert (stored["mode"], stored["deletionPolicy"], stored["prune"]) == ("Enforce", "Delete", "EmptyOnly")


async def test_vhost_and_broker_cannot_be_changed(env: OperatorEnv) -> None:
    await env.create("shop", mode="Plan")
    for change, words in (
        ({"vhost": "other"}, "the virtual host cannot be changed"),
        ({"broker": {"secretRef": {"name": "other"}}}, "the broker cannot be changed"),
    ):
        with pytest.raises(ApiError, match=words):
            await env.change("shop", **change)


async def test_every_file_of_the_project_is_taken(env: OperatorEnv) -> None:
    for file in sorted((ROOT / "charts/warren/topology").glob("[!k]*.yaml")):
        for body in yaml.safe_load_all(file.read_text()):
            body["spec"]["broker"] = {"secretRef": {"name": "broker"}}
            await env.cluster.send("POST", dry(env), body)


async def test_an_operator_whose_connections_break_misses_nothing(env: OperatorEnv) -> None:
    """Everything it says to the API server goes through a proxy that is cut while things change."""
    parts = urlsplit(env.cluster.server)
    token = yaml.safe_load(env.kubeconfig.read_text())["users"][0]["user"]["token"]
    async with FaultProxy(parts.port or 443, parts.hostname or "").serving() as proxy:
        # The API server may be on another machine, whose certificate need not name the proxy's address.
        server = f"{parts.scheme}://127.0.0.1:{proxy.port}"
        through = kubeconfig(env.folder, server, token, None, "through-a-proxy")
        async with operating(through, env.folder, namespaces=env.namespace):
            await env.create("shop", queues={"a": {}}, users={env.user("u"): {"secretName": "u"}})
            await env.until("shop")
            proxy.refuse()
            await env.change("shop", queues={"b": {}})
            await env.create("other", queues={"c": {}})
            await env.cluster.delete(SECRET, env.namespace, "u")
            await asyncio.sleep(1)
            proxy.heal()
            for name in ("shop", "other"):
                await env.until(name)
            await env.cluster.until(SECRET, env.namespace, "u", bool)
            assert condition(await env.get("shop"))["status"] == "True"
    assert set(await env.at_broker("queues")) == {"a", "b", "c"}


def dry(env: OperatorEnv) -> str:
    """Checked and filled in as always, and not stored."""
    return f"/apis/warren.dev/v1alpha1/namespaces/{env.namespace}/topologies?dryRun=All"
