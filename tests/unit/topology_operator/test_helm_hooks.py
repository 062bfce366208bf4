"""The jobs of the chart before an upgrade and before an uninstallation, against a small API server."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import kopf
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from topology_operator import crd, helm_hooks
from topology_operator.errors import HookTimeout
from topology_operator.helm_hooks import HelmHookClient

TOPOLOGIES = "/apis/warren.dev/v1alpha1/namespaces/shop/topologies"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/topologies.warren.dev"


class FakeApi:
    """Two Topologies and one definition, which is established at the second read."""

    def __init__(self) -> None:
        self.names = ["order", "payment"]
        self.operator_runs = True
        self.applied: list[tuple[dict[str, str], str, Any]] = []
        self.selectors: list[str] = []
        self.reads = 0
        self.overloaded = 0
        self.url = ""

    def authenticate(self) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=self.url, token="x")

    async def list(self, request: web.Request) -> web.Response:
        if self.overloaded:
            self.overloaded -= 1
            return web.json_response({"message": "later"}, status=503)
        self.selectors.append(request.query["labelSelector"])
        stuck = {"conditions": [{"type": "Ready", "status": "False", "message": "the broker is away"}]}
        return web.json_response({"items": [{"metadata": {"name": each}, "status": stuck} for each in self.names]})

    async def delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self.names:
            return web.json_response({"message": "not found"}, status=404)
        if self.operator_runs:
            self.names.remove(name)
        return web.json_response({})

    async def apply(self, request: web.Request) -> web.Response:
        self.applied.append((dict(request.query), request.content_type, json.loads(await request.text())))
        return web.json_response({"status": {"conditions": []}})

    async def read(self, _: web.Request) -> web.Response:
        self.reads += 1
        established = {"type": "Established", "status": "True" if self.reads > 1 else "False"}
        return web.json_response({"status": {"conditions": [established]}})


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeApi]:
    monkeypatch.setattr(helm_hooks, "POLL_SECONDS", 0.01)
    fake = FakeApi()
    app = web.Application()
    app.router.add_get(TOPOLOGIES, fake.list)
    app.router.add_delete(TOPOLOGIES + "/{name}", fake.delete)
    app.router.add_patch(DEFINITION, fake.apply)
    app.router.add_get(DEFINITION, fake.read)
    async with TestServer(app) as server:
        fake.url = str(server.make_url("/"))
        yield fake


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[HelmHookClient]:
    opened = HelmHookClient(api.authenticate)
    yield opened
    await opened.close()


async def deleted(client: HelmHookClient, selector: str = "a=b", seconds: float = 5) -> list[str]:
    return [line async for line in client.delete_topologies("shop", selector, seconds)]


async def test_the_definition_is_applied_and_awaited(api: FakeApi, client: HelmHookClient) -> None:
    definition = yaml.safe_load(crd.rendered())
    assert "topologies.warren.dev" in await client.apply_crd(definition)
    ((query, kind, body),) = api.applied
    assert query == {"fieldManager": "topology-operator", "force": "true"}
    assert kind == "application/apply-patch+yaml"
    assert body == definition
    assert api.reads == 2


async def test_only_topologies_of_the_release_are_deleted(api: FakeApi, client: HelmHookClient) -> None:
    lines = await deleted(client, "app=warren,instance=a")
    assert lines == ["order: deletion requested", "payment: deletion requested", "no Topology is left"]
    assert set(api.selectors) == {"app=warren,instance=a"}


async def test_without_topologies_the_deletion_ends_at_once(api: FakeApi, client: HelmHookClient) -> None:
    api.names = []
    assert await deleted(client) == ["no Topology is left"]


async def test_without_an_operator_the_deletion_fails_and_names_what_is_left(
    api: FakeApi, client: HelmHookClient
) -> None:
    api.operator_runs = False
    words = r"order: Ready is False, the broker is away.*Is the topology operator running\?"
    with pytest.raises(HookTimeout, match=words):
        await deleted(client, seconds=0.05)


async def test_a_request_to_an_overloaded_api_server_is_repeated(api: FakeApi, client: HelmHookClient) -> None:
    api.overloaded = 3
    assert (await deleted(client))[-1] == "no Topology is left"
    assert api.overloaded == 0


@pytest.mark.parametrize(
    ("namespace", "words"),
    [
        ("shop", "error: not deleted after 0.05 s"),
        ("other", "GET /apis/warren.dev/v1alpha1/namespaces/other/topologies"),
    ],
)
async def test_a_failure_is_one_line(
    api: FakeApi, capsys: pytest.CaptureFixture[str], namespace: str, words: str
) -> None:
    api.operator_runs = False
    arguments = ["delete-topologies", f"--namespace={namespace}", "--selector=a=b", "--seconds=0.05"]
    assert await asyncio.to_thread(helm_hooks.main, arguments, api.authenticate) == 1
    error = capsys.readouterr().err
    assert words in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
