"""Reads RabbitMQ's management API: AMQP shows no bindings, and arguments only to a user that may configure them."""

import asyncio
import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from warren_messaging.addresses import is_address, without_secrets
from warren_messaging.command.queue_rules import matches
from warren_messaging.errors import ConfigurationError

TIMEOUT = 10.0  # seconds


class ManagementReader:
    """Reads objects of one virtual host as a user with the tag `management`. Every failure is a ConfigurationError."""

    def __init__(self, url: str, login: tuple[str, str], vhost: str, ca_file: Path | None = None) -> None:
        if not is_address(url, {"http", "https"}) or "@" in urlsplit(url).netloc:
            raise ConfigurationError(
                f"management address {without_secrets(url)!r} is not https://host:port, without user and password"
            )
        self._url = url.rstrip("/")
        self._user = login[0]
        self._authorization = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        self._vhost = quote(vhost, safe="")
        try:
            self._tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https") else None
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"cannot read the CA of the management API from {ca_file}: {error}") from error

    async def queue(self, name: str) -> Any | None:
        """Return a queue with its arguments; None if there is no such queue."""
        return await self._get(f"queues/{self._vhost}/{quote(name, safe='')}")

    async def bindings_to(self, queue: str) -> list[dict[str, Any]]:
        """Return the bindings that lead to a queue."""
        return await self._get(f"queues/{self._vhost}/{quote(queue, safe='')}/bindings") or []

    async def destinations(self, exchange: str, key: str | None) -> list[str]:
        """Return the queues that an exchange routes messages with this key to; with None, those of any key."""
        if exchange == "":
            return [] if key is None else [key]
        found = await self._get(f"exchanges/{self._vhost}/{quote(exchange, safe='')}")
        if found is None:
            return []
        bindings = await self._get(f"exchanges/{self._vhost}/{quote(exchange, safe='')}/bindings/source") or []
        kind = "fanout" if key is None else found["type"]
        return [
            each["destination"]
            for each in bindings
            if each["destination_type"] == "queue" and _routes(kind, each["routing_key"], key or "")
        ]

    async def _get(self, path: str) -> Any | None:
        return await asyncio.to_thread(self._read, f"{self._url}/api/{path}")

    def _read(self, url: str) -> Any | None:
        request = urllib.request.Request(url, headers={"Authorization": self._authorization})  # noqa: S310 - checked
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT, context=self._tls) as response:  # noqa: S310
                return json.load(response)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if error.code in {401, 403}:
                raise ConfigurationError(
                    f"management API at {self._url} refused {self._user!r}: the user needs the tag `management` and a"
                    " permission in the virtual host"
                ) from error
            raise ConfigurationError(f"management API at {self._url} answered {error.code}") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ConfigurationError(f"management API at {self._url} does not answer: {error!r}") from error


def _routes(kind: str, pattern: str, key: str) -> bool:
    """Whether an exchange routes a key to a binding. A type that a plugin adds is treated as direct."""
    return kind == "fanout" or pattern == key or (kind == "topic" and matches(pattern, key))
