"""The client of RabbitMQ's management HTTP API, through which this package does everything at a broker.

A password is sent only over verified TLS (or over loopback); every request has a time limit; at most `concurrency`
requests are open at once; every failure is one of this package's errors. Opening the client checks the version.
"""

import asyncio
import base64
import json
import re
import ssl
from collections import Counter
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

import aiohttp
from yarl import URL  # aiohttp's own

from broker_topology.errors import (
    AccessDenied,
    BrokerError,
    BrokerUnreachable,
    BrokerVersionUnsupported,
    CertificateRefused,
    NotRabbitMQ,
    RequestFailed,
)

MINIMUM_VERSION = (4, 3, 1)
WHY_MINIMUM = "older brokers accept the arguments of 4.3 (delayed retry, consumer time-outs) and ignore them"
TIME_LIMIT_SECONDS = 30.0  # of one request; declaring a quorum queue takes milliseconds, listing 100,000 takes seconds
CONNECT_LIMIT_SECONDS = 5.0
CONCURRENCY = 32  # measured on two cores: more is not faster
KEEPALIVE_SECONDS = 4.0  # the broker closes a connection that was idle for 5
WAIT_INTERVAL_SECONDS = 0.5
NOT_FOUND = 404
NOT_READY = frozenset({502, 503, 504})  # a proxy without a broker, or a broker that starts or stops
OVERVIEW = "/api/overview"
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def path(*segments: str) -> str:
    """Returns `/api/…` with every segment escaped: names may hold slashes and percent signs."""
    return "/api/" + "/".join(quote(segment, safe="") for segment in segments)


class ManagementApi:
    """One broker's management API, as an async context manager.

    Raises at entry: `BrokerUnreachable`, `CertificateRefused`, `AccessDenied`, `NotRabbitMQ`,
    `BrokerVersionUnsupported`. `requests` counts the requests by HTTP method. The authority that signed the broker's
    certificate is `ca_file` or `ca_data` (PEM), else one of the system's. `client_certificate` is a pair of PEM files,
    certificate and key.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        *,
        ca_file: str | Path | None = None,
        ca_data: str | None = None,
        client_certificate: tuple[str | Path, str | Path] | None = None,
        time_limit: float = TIME_LIMIT_SECONDS,
        concurrency: int = CONCURRENCY,
    ) -> None:
        self.url = _checked_url(url)
        self.version = ""
        self.requests: Counter[str] = Counter()
        self._authorization = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self.username = username
        self._ca_file = ca_file
        self._ca_data = ca_data
        self._client_certificate = client_certificate
        self._time_limit = time_limit
        self.concurrency = concurrency
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._tls(), limit=self.concurrency, keepalive_timeout=KEEPALIVE_SECONDS
            ),
            timeout=aiohttp.ClientTimeout(total=self._time_limit, sock_connect=CONNECT_LIMIT_SECONDS),
            headers={"Authorization": self._authorization},
        )
        try:
            self.version = await self._checked_version()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes a client that `wait` opened."""
        if self._session is not None:
            await self._session.close()

    async def wait(self, seconds: float) -> Self:
        """Opens the client, and retries for `seconds` while no broker answers. The caller must call `close`."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            try:
                return await self.__aenter__()
            except BrokerUnreachable:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(min(WAIT_INTERVAL_SECONDS, max(0.0, until - loop.time())))

    async def get(self, target: str) -> Any:
        return await self._send("GET", target)

    async def put(self, target: str, body: object) -> None:
        await self._send("PUT", target, body)

    async def post(self, target: str, body: object) -> Any:
        return await self._send("POST", target, body)

    async def get_or_none(self, target: str) -> Any:
        """Returns None when the broker answers 404."""
        try:
            return await self._send("GET", target)
        except RequestFailed as exc:
            if exc.status != NOT_FOUND:
                raise
            return None

    async def delete(self, target: str) -> None:
        """Succeeds also when the object does not exist."""
        try:
            await self._send("DELETE", target)
        except RequestFailed as exc:
            if exc.status != NOT_FOUND:
                raise

    def _tls(self) -> ssl.SSLContext:
        """Creates the TLS context, at each entry, so that renewed files are read."""
        try:
            context = ssl.create_default_context(
                cafile=str(self._ca_file) if self._ca_file is not None else None, cadata=self._ca_data
            )
        except (OSError, ssl.SSLError, ValueError) as exc:
            source = f"the CA file {self._ca_file}" if self._ca_file is not None else "the CA given for the broker"
            raise CertificateRefused(f"{source} cannot be used: {exc}") from exc
        if self._client_certificate is not None:
            certificate, key = map(str, self._client_certificate)
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as exc:
                raise CertificateRefused(
                    f"the client certificate {certificate} with key {key} cannot be used: {exc}"
                ) from exc
        return context

    async def _checked_version(self) -> str:
        overview = await self._send("GET", OVERVIEW)
        version = overview.get("rabbitmq_version") if isinstance(overview, dict) else None
        if not isinstance(version, str):
            raise NotRabbitMQ(f"{self.url} answers, but /api/overview names no RabbitMQ version")
        if _numbers(version) < MINIMUM_VERSION:
            needed = ".".join(map(str, MINIMUM_VERSION))
            raise BrokerVersionUnsupported(
                f"the broker at {self.url} is RabbitMQ {version}; {needed} or newer is needed, because {WHY_MINIMUM}"
            )
        return version

    async def _send(self, method: str, target: str, body: object | None = None) -> Any:
        if self._session is None:
            raise RuntimeError("use ManagementApi as an async context manager")
        self.requests[method] += 1
        data = None if body is None else json.dumps(body).encode()
        try:
            try:
                status, payload = await self._exchange(self._session, method, target, data)
            except aiohttp.ServerDisconnectedError:
                # The broker closes a kept connection after some requests, even while the next one is being sent.
                # Every request of this package is idempotent; aiohttp itself would not repeat a POST.
                status, payload = await self._exchange(self._session, method, target, data)
        except aiohttp.ClientConnectorCertificateError as exc:
            raise CertificateRefused(
                f"the certificate of {self.url} is not trusted ({_reason(exc)}); give the CA that signed it"
            ) from exc
        except aiohttp.ClientSSLError as exc:
            raise CertificateRefused(f"no TLS connection to {self.url}: {_reason(exc)}") from exc
        except TimeoutError as exc:
            raise BrokerUnreachable(f"{self.url} does not answer within {self._time_limit:g} s") from exc
        except (aiohttp.ClientConnectionError, OSError) as exc:
            raise BrokerUnreachable(f"nothing answers at {self.url}: {_reason(exc)}") from exc
        except aiohttp.ClientError as exc:
            hint = "; a port with TLS needs https://" if self.url.startswith("http://") else ""
            reason = " ".join(_reason(exc).split())
            raise NotRabbitMQ(f"{self.url} does not speak HTTP as RabbitMQ does{hint}: {reason}") from exc
        return self._answer(method, target, status, payload)

    async def _exchange(
        self, session: aiohttp.ClientSession, method: str, target: str, data: bytes | None
    ) -> tuple[int, bytes]:
        headers = {} if data is None else {"Content-Type": "application/json"}
        # `target` is escaped already
        url = URL(self.url + target, encoded=True)
        async with session.request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
            return answer.status, await answer.read()

    def _answer(self, method: str, target: str, status: int, payload: bytes) -> Any:
        if status < 300:
            try:
                return json.loads(payload) if payload else None
            except ValueError as exc:
                raise NotRabbitMQ(f"{self.url} answers, but not with JSON; is it a management API?") from exc
        reason = _broker_reason(payload)
        if status == 401 and target == OVERVIEW:
            # The broker's reason is "Not_Authorized" for a wrong login, and "Not management user" for a missing tag.
            why = reason if reason and reason != "Not_Authorized" else "wrong user name or password"
            raise AccessDenied(f"{self.url} refuses user {self.username}: {why}")
        if status in {401, 403}:  # RabbitMQ answers 401 also to a user without the needed tag
            raise AccessDenied(f"user {self.username} may not {method} {target}: {reason}")
        if status in NOT_READY:
            raise BrokerUnreachable(f"{self.url} is not ready: it answers {status}")
        if target == OVERVIEW:
            raise NotRabbitMQ(f"{self.url} answers {status} to /api/overview; is it a management API?")
        raise RequestFailed(reason or f"the broker answered {status} to {method} {target}", status)


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BrokerError(f"{url!r} is not an address; write https://host:port")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise BrokerError(f"{url} would send the password unencrypted; use https")
    if parts.username or parts.password:
        raise BrokerError("the address must not hold a password; use --username and --password-file")
    return url.rstrip("/").removesuffix("/api")


def _numbers(version: str) -> tuple[int, ...]:
    """Returns the leading numbers: `4.3.1-rc.2+8` counts as 4.3.1."""
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[-+]", version, maxsplit=1)[0]))


def _broker_reason(payload: bytes) -> str:
    try:
        body = json.loads(payload)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    reason = body.get("reason") or body.get("error") or ""
    return reason if isinstance(reason, str) else json.dumps(reason)


def _reason(exc: BaseException) -> str:
    """Returns the text of the operating system or of OpenSSL, without that of the library."""
    inner = getattr(exc, "os_error", None) or getattr(exc, "certificate_error", None) or exc
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
