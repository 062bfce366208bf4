"""The operator's own requests to the API server: single objects by name, never a listing.

kopf lists and watches Topologies. What else is needed are Secrets and clusters, whose names are known; reading them one
by one keeps other people's Secrets out of this process and `list` out of its role.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import aiohttp
import kopf

from topology_operator.errors import ApiServerUnreachable, Conflict, Forbidden, KubernetesError

TIME_LIMIT_SECONDS = 30.0
WATCH_SECONDS = 280  # the server ends a watch after this; below the five minutes at which proxies cut idle connections
MERGE = "application/merge-patch+json"

Object = dict[str, Any]
Connect = Callable[[], kopf.ConnectionInfo]


def path_of(api: str, plural: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """`api` is `v1` or `group/version`. Kubernetes names need no escaping."""
    root = f"/apis/{api}" if "/" in api else f"/api/{api}"
    return "/".join(part for part in (root, "namespaces", namespace, plural, name, subresource) if part)


class KubernetesApi:
    """One connection pool with the operator's credentials. Raises the errors of `KubernetesError`'s tree."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._info = connect()
        self._session = self._open()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._info.as_ssl_context(), limit=0),
            headers={"User-Agent": "topology-operator", **self._info.as_http_headers()},
            timeout=aiohttp.ClientTimeout(total=TIME_LIMIT_SECONDS),
        )

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str) -> Object | None:
        """The object, or None when there is none."""
        try:
            return await self._send("GET", path)
        except KubernetesError as exc:
            if exc.status == 404:
                return None
            raise

    async def create(self, path: str, body: Object) -> Object:
        """Raises `Conflict` when it exists."""
        return await self._send("POST", path, body)

    async def patch(self, path: str, body: Object) -> Object | None:
        """A JSON merge patch. None when there is no such object.

        With `metadata.resourceVersion` in the body it raises `Conflict` unless that is still the newest.
        """
        try:
            return await self._send("PATCH", path, body, MERGE)
        except KubernetesError as exc:
            if exc.status == 404:
                return None
            raise

    async def watch(self, collection: str, name: str, version: str | None) -> AsyncGenerator[tuple[str, Object]]:
        """Events of the one object of this name, after `version`; ends when the server ends it."""
        query = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": str(WATCH_SECONDS)}
        if version is not None:
            query["resourceVersion"] = version
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIME_LIMIT_SECONDS, sock_read=WATCH_SECONDS + 20)
        try:
            async with self._session.get(self._url(collection), params=query, timeout=timeout) as answer:
                if answer.status >= 300:
                    raise await self._refusal("WATCH", collection, answer)
                async for line in answer.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # 410: the version is too old to continue from
                        return
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise ApiServerUnreachable(f"the watch on {collection}/{name} broke: {exc}") from exc

    def _url(self, path: str) -> str:
        return self._info.server.rstrip("/") + path

    async def _send(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        for attempt in (1, 2):
            data = None if body is None else json.dumps(body)
            headers = {} if body is None else {"Content-Type": kind}
            try:
                async with self._session.request(method, self._url(path), data=data, headers=headers) as answer:
                    if answer.status == 401 and attempt == 1:  # the mounted token was renewed
                        await self._renew()
                        continue
                    if answer.status >= 300:
                        raise await self._refusal(method, path, answer)
                    found: Object = await answer.json()
                    return found
            except (aiohttp.ClientError, TimeoutError, OSError) as exc:
                raise ApiServerUnreachable(
                    f"the API server does not answer {method} {path}: {exc or 'time is up'}"
                ) from exc
        raise Forbidden(f"the API server does not accept the operator's credentials ({method} {path})", 401)

    async def _renew(self) -> None:
        old, self._info = self._session, self._connect()
        self._session = self._open()
        # requests that are under way on the old one end by themselves
        asyncio.get_running_loop().call_later(WATCH_SECONDS, lambda: asyncio.ensure_future(old.close()))

    @staticmethod
    async def _refusal(method: str, path: str, answer: aiohttp.ClientResponse) -> KubernetesError:
        try:
            reason = (await answer.json()).get("message") or answer.reason
        except (aiohttp.ClientError, ValueError, AttributeError):
            reason = answer.reason
        text = f"{method} {path}: {reason}"
        match answer.status:
            case 401 | 403:
                return Forbidden(f"the operator lacks a right: {text}", answer.status)
            case 409:
                return Conflict(text, 409)
            case 429 | 500 | 502 | 503 | 504:
                return ApiServerUnreachable(text, answer.status)
            case status:
                return KubernetesError(text, status)
