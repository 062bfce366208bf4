"""A client for the emulated or the real API server, with waiting."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import kopf
import yaml

from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import Object, condition_of, path_of

T = TypeVar("T")

TOPOLOGY = "warren.dev/v1alpha1/topologies"
SECRET = "v1/secrets"
CLUSTER = "rabbitmq.com/v1beta1/rabbitmqclusters"
EVENT = "v1/events"
NAMESPACE = "v1/namespaces"
MAX_WAIT_SECONDS = 90.0


class ApiClient(KubernetesApi):
    """Connects as an administrator. Kinds are written `group/version/plural`."""

    def __init__(self, connection: kopf.ConnectionInfo) -> None:
        super().__init__(lambda: connection)
        self.server = connection.server
        self.authority = _authority(connection)

    async def create_object(self, kind: str, namespace: str, body: Object) -> Object:
        return await self.create(_path(kind, namespace), body)

    async def get_object(self, kind: str, namespace: str, name: str) -> Object | None:
        return await self.get(_path(kind, namespace, name))

    async def list_objects(self, kind: str, namespace: str) -> list[Object]:
        items: list[Object] = (await self.send("GET", _path(kind, namespace)))["items"]
        return items

    async def patch_object(self, kind: str, namespace: str, name: str, patch: Object, subresource: str = "") -> None:
        assert await self.patch(_path(kind, namespace, name, subresource), patch) is not None, f"{name} does not exist"

    async def delete_object(self, kind: str, namespace: str, name: str) -> None:
        await self.send_if_found("DELETE", _path(kind, namespace, name))

    async def wait_until(
        self, kind: str, namespace: str, name: str, holds: Callable[[Object], Any], seconds: float = MAX_WAIT_SECONDS
    ) -> Object:
        """Waits until the object exists and `holds`."""

        async def check() -> tuple[Object | None, Any]:
            found = await self.get_object(kind, namespace, name)
            return found, found is not None and holds(found)

        return await poll(check, name, seconds) or {}

    async def wait_until_gone(self, kind: str, namespace: str, name: str, seconds: float = MAX_WAIT_SECONDS) -> None:
        async def check() -> tuple[Object | None, bool]:
            found = await self.get_object(kind, namespace, name)
            return found, found is None

        await poll(check, name, seconds)


async def poll(check: Callable[[], Awaitable[tuple[T, Any]]], name: str, seconds: float = MAX_WAIT_SECONDS) -> T:
    """Calls `check` until the second part of its result is true, and returns the first, which is the state found."""
    end = time.monotonic() + seconds
    while True:
        state, done = await check()
        if done:
            return state
        if time.monotonic() > end:
            raise AssertionError(f"{name} did not reach the expected state within {seconds} s; it is {_shown(state)}")
        await asyncio.sleep(0.05)


async def eventually(holds: Callable[[], Awaitable[Any]]) -> None:
    async def check() -> tuple[None, Any]:
        return None, await holds()

    await poll(check, "the condition")


def condition(body: Object, kind: str = "Ready") -> Object:
    return dict(condition_of(body.get("status") or {}, kind))


def is_ready(body: Object) -> bool:
    """As `kubectl wait --for=condition=Ready`, for the newest spec."""
    ready = condition(body)
    return ready.get("status") == "True" and ready["observedGeneration"] == body["metadata"]["generation"]


def has_reason(reason: str, *, condition: str = "Ready") -> Callable[[Object], bool]:
    return lambda body: bool(condition_of(body.get("status") or {}, condition).get("reason") == reason)


def secret_of(name: str, **data: str) -> Object:
    """Returns a Secret. A keyword with underscores is a key with dots: `ca_crt` is `ca.crt`."""
    texts = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": texts}


def kubeconfig(folder: Path, server: str, token: str, authority: str | None, name: str = "operator") -> Path:
    """Writes the file for a process with the token's account; without an authority it trusts any certificate."""
    cluster: Object = {"server": server, "insecure-skip-tls-verify": authority is None}
    if authority is not None:
        cluster["certificate-authority-data"] = authority
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token}}],
    }
    file = folder / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(config))
    return file


def _authority(connection: kopf.ConnectionInfo) -> str | None:
    if connection.ca_data is not None:
        return connection.ca_data if isinstance(connection.ca_data, str) else connection.ca_data.decode()
    if connection.ca_path is not None:
        return base64.b64encode(Path(str(connection.ca_path)).read_bytes()).decode()
    return None


def _path(kind: str, *names: str) -> str:
    return path_of(*kind.rsplit("/", 1), *names)


def _shown(state: Any) -> str:
    if isinstance(state, dict) and "metadata" in state:
        state = {key: state.get(key) for key in ("metadata", "status")}
    return yaml.safe_dump(state)[:3000]
