"""What only a real API server shows: its own reading of the definition, and watches that break on the wire."""

import asyncio
from urllib.parse import urlsplit

import pytest
import yaml

from tests.kubernetes.cluster import SECRET, Answered, condition, kubeconfig
from tests.kubernetes.operating import ROOT, operating
from tests.kubernetes.site import Site
from tests.proxy import Proxy
from tests.unit.topology_operator.cases import REFUSED

pytestmark = pytest.mark.real


@pytest.mark.parametrize("case", REFUSED)
async def test_the_server_refuses_what_the_emulator_refuses_and_says_what_to_do(place: Site, case: str) -> None:
    body, words = REFUSED[case]
    body = {**body, "metadata": {"name": "test"}}
    with pytest.raises(Answered) as refusal:
        await place.cluster.send("POST", dry(place), body)
    assert refusal.value.status == 422
    assert words in str(refusal.value) or words in {"too small", "should match", "Duplicate value"}


async def test_the_server_fills_in_the_models_defaults(place: Site) -> None:
    body = place.topology("test", queues={"q": {}}, users={"u": {"secretName": "s"}})
    stored = (await place.cluster.send("POST", dry(place), body))["spec"]
    assert stored["queues"]["q"] == {
        "type": "quorum",
        "durable": True,
        "autoDelete": False,
        "singleActiveConsumer": False,
        "argumentChange": "Block",
    }
    assert stored["users"]["u"]["permissions"] == {"configure": "^$", "write": "^$", "read": "^$"}
    assert (stored["mode"], stored["deletionPolicy"], stored["prune"]) == ("Enforce", "Delete", "EmptyOnly")


async def test_vhost_and_broker_cannot_be_changed(place: Site) -> None:
    await place.create("shop", mode="Plan")
    for change, words in (
        ({"vhost": "other"}, "the virtual host cannot be changed"),
        ({"broker": {"secretRef": {"name": "other"}}}, "the broker cannot be changed"),
    ):
        with pytest.raises(Answered, match=words):
            await place.change("shop", **change)


async def test_every_file_of_the_project_is_taken(place: Site) -> None:
    for file in sorted((ROOT / "charts/warren/topology").glob("[!k]*.yaml")):
        for body in yaml.safe_load_all(file.read_text()):
            body["spec"]["broker"] = {"secretRef": {"name": "broker"}}
            await place.cluster.send("POST", dry(place), body)


async def test_an_operator_whose_connections_break_misses_nothing(place: Site) -> None:
    """Everything it says to the API server goes through a proxy that is cut while things change."""
    parts = urlsplit(place.cluster.server)
    token = yaml.safe_load(place.kubeconfig.read_text())["users"][0]["user"]["token"]
    async with Proxy(parts.port or 443, parts.hostname or "").serving() as proxy:
        # The API server may be on another machine, whose certificate need not name the proxy's address.
        server = f"{parts.scheme}://127.0.0.1:{proxy.port}"
        through = kubeconfig(place.folder, server, token, None, "through-a-proxy")
        async with operating(through, place.folder, namespaces=place.namespace):
            await place.create("shop", queues={"a": {}}, users={place.user("u"): {"secretName": "u"}})
            await place.until("shop")
            proxy.refusing = True
            proxy.cut()
            await place.change("shop", queues={"b": {}})
            await place.create("other", queues={"c": {}})
            await place.cluster.delete(SECRET, place.namespace, "u")
            await asyncio.sleep(1)
            proxy.heal()
            for name in ("shop", "other"):
                await place.until(name)
            await place.cluster.until(SECRET, place.namespace, "u", bool)
            assert condition(await place.get("shop"))["status"] == "True"
    assert set(await place.at_broker("queues")) == {"a", "b", "c"}


def dry(place: Site) -> str:
    """Checked and filled in as always, and not stored."""
    return f"/apis/warren.dev/v1alpha1/namespaces/{place.namespace}/topologies?dryRun=All"
