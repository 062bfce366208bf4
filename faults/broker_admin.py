"""Administrator's access to the broker: its management API, and the messages in its queues."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

import httpx
from aiormq import spec

from devtools.local.topology import VHOST
from devtools.servers.servers import Servers
from warren_messaging.amqp.pipeline import PublishFrame, send
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.sender import REDRIVE_EXCHANGE

PERSISTENT = RawProperties.of(spec.Basic.Properties(delivery_mode=2))


class BrokerAdmin:
    """Part of FaultHarness."""

    servers: Servers
    _client: httpx.Client | None = None

    def close_management_client(self) -> None:
        if self._client is not None:
            self._client.close()

    def api(self, method: str, path: str, **options: Any) -> Any:
        """Send one request to the management API; `{vhost}` in the path is replaced."""
        broker = self.servers.broker.endpoints
        if self._client is None:
            self._client = httpx.Client(
                base_url=f"{broker.management_url}/api/",
                auth=broker.login,
                verify=ssl.create_default_context(cafile=broker.ca_file),
                timeout=20,
            )
        for attempt in range(3):
            try:
                response = self._client.request(method, path.format(vhost=VHOST), **options)
                break
            except httpx.TransportError:  # a connection from before a restart of the broker
                if attempt == 2:
                    raise
        response.raise_for_status()
        return response.json() if response.content else None

    def queue_depths(self) -> dict[str, int]:
        """Messages in each queue, whether ready, delayed or unacknowledged."""
        found = self.api("GET", "queues/{vhost}?disable_stats=true&enable_queue_totals=true")
        return {queue["name"]: int(queue.get("messages", 0)) for queue in found}

    def queue_depth(self, queue: str) -> int:
        return self.queue_depths()[queue]

    def limit_queue(self, queue: str, max_length: int) -> None:
        """Let a queue refuse publishes while it holds `max_length` messages."""
        definition = {"max-length": max_length, "overflow": "reject-publish"}
        policy = {"pattern": f"^{queue}$", "definition": definition, "apply-to": "queues", "priority": 9}
        self.api("PUT", f"policies/{{vhost}}/limit-{queue}", json=policy)

    def unlimit_queue(self, queue: str) -> None:
        self.api("DELETE", f"policies/{{vhost}}/limit-{queue}")

    def unbind(self, source: str, kind: str, target: str, key: str) -> None:
        """Remove a binding; `kind` of the target is q (queue) or e (exchange)."""
        path = f"bindings/{{vhost}}/e/{source}/{kind}/{target}"
        (found,) = (each for each in self.api("GET", path) if each["routing_key"] == key)
        self.api("DELETE", f"{path}/{quote(found['properties_key'], safe='')}")

    def subscribers(self) -> dict[str, list[str]]:
        """Event type to the services' queues that are bound to it."""
        bound: dict[str, list[str]] = {}
        for binding in self.api("GET", "exchanges/{vhost}/workflow.exchange/bindings/source"):
            bound.setdefault(binding["routing_key"], []).append(binding["destination"])
        return bound

    def put_messages(self, messages: Iterable[tuple[str, bytes]], properties: RawProperties = PERSISTENT) -> None:
        """Put bodies into queues, in this order, with properties of any bytes.

        They go through the exchange for redrives, so that consumers do not verify their sender.
        """

        async def put(channel: Any) -> None:
            for queue, body in messages:
                batch = await send(channel, [PublishFrame.of(REDRIVE_EXCHANGE, queue, body, properties)])
                await batch.finished

        asyncio.run(self.on_channel(put))

    def take_messages(self, queue: str) -> list[Any]:
        """Take every ready message out of a queue, with its properties."""
        messages: list[Any] = []

        async def take(channel: Any) -> None:
            while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
                messages.append(message)

        asyncio.run(self.on_channel(take))
        return messages

    def take_bodies(self, queue: str) -> list[bytes]:
        return [bytes(message.body) for message in self.take_messages(queue)]

    async def on_channel(self, work: Callable[[Any], Awaitable[None]]) -> None:
        """Run `work` on a channel with publisher confirms, as the administrator."""
        async with self.servers.broker.endpoints.channel(VHOST) as channel:
            await work(channel)
