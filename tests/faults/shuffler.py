"""Delays every message to every service at random, so that messages overtake each other."""

import asyncio
import json
import random
import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from aiormq import spec

from faults.harness import FaultHarness
from services.registry import QUEUES
from warren_messaging.sender import REDRIVE_EXCHANGE

INTERVAL = 0.15  # seconds
QUORUM = {"durable": True, "arguments": {"x-queue-type": "quorum"}}


class MessageShuffler:
    """Within the block, messages go to side queues instead of the services' queues.

    Every INTERVAL a random share of them is forwarded, in random order. Leaving the block restores the topology and
    forwards the rest.
    """

    def __init__(self, harness: FaultHarness, seed: str) -> None:
        self._harness = harness
        self._random = random.Random(seed)
        self._held: dict[str, list[Any]] = {queue: [] for queue in QUEUES}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shuffler", daemon=True)
        self._latest: dict[tuple[str, str], datetime] = {}
        self.overtaken: dict[str, int] = dict.fromkeys(QUEUES, 0)
        """By queue: events that arrived after a later event of the same order."""

    def __enter__(self) -> Self:
        for queue in QUEUES:
            self._harness.api("PUT", f"queues/{{vhost}}/{_side(queue)}", json=QUORUM)
            for binding in self._harness.api("GET", f"queues/{{vhost}}/{queue}/bindings"):
                source, key = binding["source"], binding["routing_key"]
                if source in {"", REDRIVE_EXCHANGE}:
                    continue
                path = f"bindings/{{vhost}}/e/{source}/q/{_side(queue)}"
                self._harness.api("POST", path, json={"routing_key": key, "arguments": binding["arguments"]})
                self._harness.unbind(source, "q", queue, key)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._harness.restore_topology()
        self._leaving.set()
        self._thread.join(60)
        for queue in QUEUES:
            self._harness.api("DELETE", f"queues/{{vhost}}/{_side(queue)}")

    @property
    def is_empty(self) -> bool:
        return not any(self._held.values())

    def _run(self) -> None:
        asyncio.run(self._harness.on_channel(self._forward_until_left))

    async def _forward_until_left(self, channel: Any) -> None:
        while not self._leaving.is_set():
            await asyncio.sleep(INTERVAL)
            await self._forward(channel, lambda count: self._random.randint(0, count))
        # The services' queues are bound again, so what arrives in a side queue now arrives there as well.
        await self._forward(channel, lambda count: count)

    async def _forward(self, channel: Any, share: Callable[[int], int]) -> None:
        for queue, held in self._held.items():
            while (message := await channel.basic_get(_side(queue), no_ack=True)).delivery_tag is not None:
                held.append(message)
            self._random.shuffle(held)
            for message in held[: share(len(held))]:
                await self._publish(channel, queue, message)
                held.remove(message)

    async def _publish(self, channel: Any, queue: str, message: Any) -> None:
        properties = spec.Basic.Properties(delivery_mode=2, priority=message.header.properties.priority)
        body = bytes(message.body)
        await channel.basic_publish(body, exchange=REDRIVE_EXCHANGE, routing_key=queue, properties=properties)
        event = json.loads(body)
        time, order = datetime.fromisoformat(event["time"]), (queue, event["subject"])
        if order in self._latest and self._latest[order] > time:
            self.overtaken[queue] += 1
        self._latest[order] = max(time, self._latest.get(order, time))


def _side(queue: str) -> str:
    return f"side.{queue}"
