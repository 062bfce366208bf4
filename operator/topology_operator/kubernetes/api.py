"""The operator's own requests to the API server: single objects by name, never a listing.

kopf lists and watches Topologies. Secrets and RabbitmqClusters are read one by one, because their names are known: the
role needs no `list`, and Secrets of other applications never enter this process.
"""

import dataclasses
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from typing import Any

import aiohttp
import kopf
import yaml

from topology_operator.errors import ApiServerUnreachable, Conflict, Forbidden, KubernetesError, SettingsError
from topology_operator.kubernetes.objects import Object

TIME_LIMIT_SECONDS = 30.0
WATCH_SECONDS = 280
"""The server ends a watch after this time, before proxies cut idle connections (five minutes)."""

MERGE_PATCH = "application/merge-patch+json"
UNAVAILABLE = {429, 500, 502, 503, 504}

Authenticate = Callable[[], kopf.ConnectionInfo]


class _LenientConnectionInfo(kopf.ConnectionInfo):
    """Accepts cluster authorities without a key usage, which Python 3.13 refuses by default.

    Many clusters have such an authority. Signature, name and validity are still checked.
    """

    def as_ssl_context(self) -> ssl.SSLContext:
        context = super().as_ssl_context()
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def authenticate() -> kopf.ConnectionInfo:
    """Reads the service account of the pod, or the file that KUBECONFIG names. Raises `SettingsError` without either.

    The result is not cached: Kubernetes renews a mounted token every hour.
    """
    settings = kopf.OperatorSettings()
    try:
        found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    except (OSError, yaml.YAMLError, KeyError, kopf.LoginError) as exc:
        raise SettingsError(f"the kubeconfig cannot be used: {exc}") from exc
    if found is None:
        raise SettingsError("no service account and no KUBECONFIG: run it in a cluster, or set KUBECONFIG")
    if not found.server:
        raise SettingsError("the kubeconfig's current cluster has no server")
    return _LenientConnectionInfo(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)})


class KubernetesApi:
    """A connection pool with the operator's credentials. Raises the errors of the tree of `KubernetesError`."""

    def __init__(self, authenticate: Authenticate) -> None:
        self._authenticate = authenticate
        self._log_in()
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str) -> Object | None:
        """Returns None if the object does not exist."""
        return await self.send_if_found("GET", path)

    async def create(self, path: str, body: Object) -> Object:
        """Raises `Conflict` if the object exists."""
        return await self.send("POST", path, body)

    async def patch(self, path: str, body: Object) -> Object | None:
        """Applies a JSON merge patch. Returns None if the object does not exist.

        Raises `Conflict` if the body has a `metadata.resourceVersion` that is no longer the newest.
        """
        return await self.send_if_found("PATCH", path, body, MERGE_PATCH)

    async def watch(self, collection: str, name: str, version: str | None) -> AsyncGenerator[tuple[str, Object]]:
        """Yields type and object of each event of this object after `version`, until the server ends the watch."""
        query = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": str(WATCH_SECONDS)}
        if version is not None:
            query["resourceVersion"] = version
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIME_LIMIT_SECONDS, sock_read=WATCH_SECONDS + 20)
        try:
            async with self._request("GET", collection, params=query, timeout=timeout) as response:
                if response.status >= 300:
                    raise await _error_of("WATCH", collection, response)
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":  # 410: the server no longer knows the version
                        return
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise ApiServerUnreachable(f"the watch on {collection}/{name} broke: {exc}") from exc

    async def send_if_found(self, method: str, path: str, *content: Any) -> Object | None:
        """Returns None if there is no such object."""
        try:
            return await self.send(method, path, *content)
        except KubernetesError as exc:
            if exc.status == 404:
                return None
            raise

    async def send(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """Sends a request; `kind` is the content type of the body. Logs in again if the token was renewed."""
        content: dict[str, Any] = {} if body is None else {"data": json.dumps(body), "headers": {"Content-Type": kind}}
        renewed = False
        while True:
            try:
                async with self._request(method, path, **content) as response:
                    if response.status == 401 and not renewed:
                        self._log_in()
                        renewed = True
                        continue
                    if response.status >= 300:
                        raise await _error_of(method, path, response)
                    found: Object = await response.json()
                    return found
            except (aiohttp.ClientError, TimeoutError, OSError) as exc:
                text = f"the API server does not answer {method} {path}: {exc or 'time is up'}"
                raise ApiServerUnreachable(text) from exc

    def _log_in(self) -> None:
        self._info = self._authenticate()
        self._tls = self._info.as_ssl_context()

    def _request(self, method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Any:
        headers = {"User-Agent": "topology-operator", **self._info.as_http_headers(), **(headers or {})}
        options = {"timeout": aiohttp.ClientTimeout(total=TIME_LIMIT_SECONDS), **options}
        url = self._info.server.rstrip("/") + path
        return self._session.request(method, url, headers=headers, ssl=self._tls, **options)


async def _error_of(method: str, path: str, response: aiohttp.ClientResponse) -> KubernetesError:
    try:
        reason = (await response.json()).get("message") or response.reason
    except (aiohttp.ClientError, ValueError, AttributeError):
        reason = response.reason
    text, status = f"{method} {path}: {reason}", response.status
    if status in {401, 403}:
        return Forbidden(f"the operator lacks a right: {text}", status)
    if status == 409:
        return Conflict(text, status)
    return (ApiServerUnreachable if status in UNAVAILABLE else KubernetesError)(text, status)
