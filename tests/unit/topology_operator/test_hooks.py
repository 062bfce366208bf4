"""What an installation does before an upgrade and before it goes, against a small API server of our own."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import kopf
import pytest
import yaml
from aiohttp import web

from topology_operator import crd, hooks
from topology_operator.hooks import HelmHookClient, HookTimeout

TOPOLOGIES = "/apis/warren.dev/v1alpha1/namespaces/shop/topologies"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/topologies.warren.dev"


class Api:
    """Two Topologies, one definition. `cleans_up` says whether an operator is there."""

    def __init__(self) -> None:
        self.names = ["order", "payment"]
        self.cleans_up = True
        self.applied: list[tuple[dict[str, str], str, Any]] = []
        self.selectors: list[str] = []
        self.looks = 0
        self.overloaded = 0
        self.url = ""

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
            return web.json_response({"message": "no such thing"}, status=404)
        if self.cleans_up:
            self.names.remove(name)
        return web.json_response({})

    async def apply(self, request: web.Request) -> web.Response:
        self.applied.append((dict(request.query), request.content_type, json.loads(await request.text())))
        return web.json_response({"status": {"conditions": []}})

    async def read(self, _: web.Request) -> web.Response:
        self.looks += 1
        established = {"type": "Established", "status": "True" if self.looks > 1 else "False"}
        return web.json_response({"status": {"conditions": [established]}})


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(hooks, "PAUSE_SECONDS", 0.01)
    served = Api()
    app = web.Application()
    app.router.add_get(TOPOLOGIES, served.list)
    app.router.add_delete(TOPOLOGIES + "/{name}", served.delete)
    app.router.add_patch(DEFINITION, served.apply)
    app.router.add_get(DEFINITION, served.read)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
async def installation(api: Api) -> AsyncIterator[HelmHookClient]:
    made = HelmHookClient(reach(api))
    yield made
    await made.close()


def reach(api: Api) -> Callable[[], kopf.ConnectionInfo]:
    return lambda: kopf.ConnectionInfo(server=api.url, token="x")


async def test_the_definition_of_this_version_is_applied_and_waited_for(api: Api, installation: HelmHookClient) -> None:
    assert "topologies.warren.dev" in await installation.define()
    ((query, kind, body),) = api.applied
    assert query == {"fieldManager": "topology-operator", "force": "true"}
    assert kind == "application/apply-patch+yaml"
    assert body == yaml.safe_load(crd.rendered())
    assert api.looks == 2


async def test_topologies_are_deleted_and_nothing_else_is_asked_for(api: Api, installation: HelmHookClient) -> None:
    told = [line async for line in installation.remove("shop", "app=warren,instance=a", 5)]
    assert told == ["order: deletion asked for", "payment: deletion asked for", "no Topology is left"]
    assert set(api.selectors) == {"app=warren,instance=a"}


async def test_where_there_is_none_nothing_is_waited_for(api: Api, installation: HelmHookClient) -> None:
    api.names = []
    assert [line async for line in installation.remove("shop", "a=b", 5)] == ["no Topology is left"]


async def test_without_an_operator_it_ends_and_says_what_remains(api: Api, installation: HelmHookClient) -> None:
    api.cleans_up = False
    with pytest.raises(
        HookTimeout, match=r"order: Ready is False, the broker is away.*Is the topology operator running\?"
    ):
        async for _ in installation.remove("shop", "a=b", 0.05):
            pass


async def test_an_api_server_that_is_overloaded_is_asked_again(api: Api, installation: HelmHookClient) -> None:
    api.overloaded = 3
    assert [line async for line in installation.remove("shop", "a=b", 5)][-1] == "no Topology is left"
    assert api.overloaded == 0


async def test_the_program_ends_with_one_line(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    api.cleans_up = False
    arguments = ["remove", "--namespace=shop", "--selector=a=b", "--seconds=0.05"]
    assert await asyncio.to_thread(hooks.main, arguments, reach(api)) == 1
    told = capsys.readouterr().err
    assert told.startswith("error: not gone after 0.05 s")
    assert told.count("\n") == 1


async def test_a_right_that_lacks_is_said(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["remove", "--namespace=other", "--selector=a=b"]
    assert await asyncio.to_thread(hooks.main, arguments, reach(api)) == 1
    assert "GET /apis/warren.dev/v1alpha1/namespaces/other/topologies" in capsys.readouterr().err
