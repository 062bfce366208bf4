"""A Kubernetes API server as a test sees it, the emulated or a real one: the same requests, the same waiting."""

import asyncio
import base64
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import yaml

Object = dict[str, Any]

TOPOLOGY = "warren.dev/v1alpha1/topologies"
SECRET = "v1/secrets"
CLUSTER = "rabbitmq.com/v1beta1/rabbitmqclusters"
EVENT = "v1/events"
NAMESPACE = "v1/namespaces"
PATIENCE_SECONDS = 90.0


class ApiError(Exception):
    """The API server refused."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiClient:
    """An administrator's connection. Kinds are written `group/version/plural`."""

    def __init__(self, connection: kopf.ConnectionInfo) -> None:
        self.server = connection.server
        self.authority = _authority(connection)
        self._connection = connection

    @asynccontextmanager
    async def open(self) -> AsyncIterator["ApiClient"]:
        tls: ssl.SSLContext | bool = self._connection.as_ssl_context() if self.server.startswith("https") else False
        async with aiohttp.ClientSession(
            headers=self._connection.as_http_headers(), connector=aiohttp.TCPConnector(ssl=tls)
        ) as self._session:
            yield self

    async def send(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Object:
        data = None if body is None else json.dumps(body)
        async with self._session.request(
            method, self.server + path, data=data, headers={"Content-Type": kind}
        ) as answer:
            found: Object = await answer.json()
            if answer.status >= 300:
                raise ApiError(answer.status, found.get("message", ""))
            return found

    async def create(self, kind: str, namespace: str, body: Object) -> Object:
        return await self.send("POST", _path(kind, namespace), body)

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return await self.send("GET", _path(kind, namespace, name))
        except ApiError as exc:
            if exc.status == 404:
                return None
            raise

    async def listed(self, kind: str, namespace: str) -> list[Object]:
        items: list[Object] = (await self.send("GET", _path(kind, namespace)))["items"]
        return items

    async def patch(self, kind: str, namespace: str, name: str, patch: Object, subresource: str = "") -> Object:
        path = _path(kind, namespace, name) + (f"/{subresource}" if subresource else "")
        return await self.send("PATCH", path, patch, "application/merge-patch+json")

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        try:
            await self.send("DELETE", _path(kind, namespace, name))
        except ApiError as exc:
            if exc.status != 404:
                raise

    async def until(
        self,
        kind: str,
        namespace: str,
        name: str,
        holds: Callable[[Object], Any],
        seconds: float = PATIENCE_SECONDS,
    ) -> Object:
        """Waits until the object is there and `holds`."""
        end = time.monotonic() + seconds
        while True:
            found = await self.get(kind, namespace, name)
            if found is not None and holds(found):
                return found
            if time.monotonic() > end:
                raise AssertionError(f"{name} did not become what was waited for; it is {_told(found)}")
            await asyncio.sleep(0.05)

    async def until_gone(self, kind: str, namespace: str, name: str, seconds: float = PATIENCE_SECONDS) -> None:
        end = time.monotonic() + seconds
        while (found := await self.get(kind, namespace, name)) is not None:
            if time.monotonic() > end:
                raise AssertionError(f"{name} is still there: {_told(found)}")
            await asyncio.sleep(0.05)

    async def events(self, namespace: str, reason: str, kind: str = "") -> list[str]:
        """Their messages; `kind` is Normal or Warning, and either by default."""
        return [
            each["message"]
            for each in await self.listed(EVENT, namespace)
            if each["reason"] == reason and kind in {"", each["type"]}
        ]

    async def secret(self, namespace: str, name: str, **data: str) -> Object:
        return await self.create(SECRET, namespace, secret_of(name, **data))


async def eventually(holds: Callable[[], Awaitable[Any]], seconds: float = PATIENCE_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not await holds():
        if time.monotonic() > end:
            raise AssertionError("what was waited for did not happen")
        await asyncio.sleep(0.1)


def condition(body: Object, kind: str = "Ready") -> Object:
    found: Object = next((each for each in body.get("status", {}).get("conditions", ()) if each["type"] == kind), {})
    return found


def is_ready(body: Object) -> bool:
    """As `kubectl wait --for=condition=Ready`, for the newest spec."""
    ready = condition(body)
    return ready.get("status") == "True" and ready["observedGeneration"] == body["metadata"]["generation"]


def has(reason: str, kind: str = "Ready") -> Callable[[Object], bool]:
    return lambda body: bool(condition(body, kind).get("reason") == reason)


def secret_of(name: str, **data: str) -> Object:
    """Underscores of a keyword are dots: `ca_crt` is `ca.crt`."""
    texts = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": texts}


def texts_of(secret: Object) -> dict[str, str]:
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def kubeconfig(folder: Path, server: str, token: str, authority: str | None, name: str = "operator") -> Path:
    """A file with which a process connects as the token's account; without an authority it trusts any certificate."""
    cluster: Object = {"server": server, "insecure-skip-tls-verify": authority is None}
    if authority is not None:
        cluster["certificate-authority-data"] = authority
    file = folder / f"{name}.kubeconfig"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "test", "user": {"token": token}}],
            }
        )
    )
    return file


def _authority(connection: kopf.ConnectionInfo) -> str | None:
    if connection.ca_data is not None:
        return connection.ca_data if isinstance(connection.ca_data, str) else connection.ca_data.decode()
    if connection.ca_path is not None:
        return base64.b64encode(Path(str(connection.ca_path)).read_bytes()).decode()
    return None


def _path(kind: str, namespace: str, name: str = "") -> str:
    api, plural = kind.rsplit("/", 1)
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    home = ["namespaces", namespace] if namespace else []
    return "/".join(part for part in (root, *home, plural, name) if part)


def _told(body: Object | None) -> str:
    return "not there" if body is None else yaml.safe_dump({k: body.get(k) for k in ("metadata", "status")})
