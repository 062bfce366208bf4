"""Short ways to write a topology and to get its findings, and a fake management API."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

import broker_topology

HEAD = {"apiVersion": "warren.dev/v1alpha1", "kind": "Topology", "metadata": {"name": "shop"}}


def _text(spec: dict[str, Any], **head: Any) -> str:
    return yaml.safe_dump(HEAD | {"spec": {"vhost": "v"} | spec} | head)


@pytest.fixture
def text() -> Callable[..., str]:
    """A resource as YAML."""
    return _text


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a resource to a file of this name."""

    def write(spec: dict[str, Any], name: str = "shop.yaml", **head: Any) -> Path:
        path = tmp_path / name
        path.write_text(_text(spec, **head))
        return path

    return write


@pytest.fixture
def loaded() -> Callable[..., list[broker_topology.LoadedTopology]]:
    """The resources of these specs, each from a file of its own: `a.yaml`, `b.yaml`, ..."""

    def load(*specs: dict[str, Any]) -> list[broker_topology.LoadedTopology]:
        return [
            item
            for letter, spec in zip("abc", specs, strict=False)
            for item in broker_topology.parse(_text(spec), f"{letter}.yaml")
        ]

    return load


@pytest.fixture
def findings(loaded: Callable[..., list[broker_topology.LoadedTopology]]) -> Callable[..., list[str]]:
    """Every finding about these specs: `path: message`, with the file in front when there are several."""

    def found(*specs: dict[str, Any]) -> list[str]:
        try:
            several = broker_topology.check(loaded(*specs))
        except broker_topology.InvalidTopology as refused:
            several = list(refused.findings)
        return [str(each) if len(specs) > 1 else f"{each.path}: {each.message}" for each in several]

    return found


@contextlib.asynccontextmanager
async def fake_management(overview: Any = None, port: int = 0, tls: Any = None, **routes: Any) -> AsyncIterator[str]:
    """An HTTP endpoint on loopback that answers /api/overview and the given routes; yields its URL."""
    app = web.Application()

    async def answer(_request: web.Request) -> web.Response:
        return overview if isinstance(overview, web.Response) else web.json_response(overview)

    app.router.add_get("/api/overview", answer)
    for name, handler in routes.items():
        app.router.add_route("*", f"/api/{name}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "localhost" if tls else "127.0.0.1", port, ssl_context=tls).start()
    try:
        listening = runner.addresses[0][1]
        yield f"https://localhost:{listening}" if tls else f"http://127.0.0.1:{listening}"
    finally:
        await runner.cleanup()
