"""A way round for every message to every service, on which messages wait by chance and overtake each other."""

import asyncio
import json
import random
import threading
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from aiormq import spec

from faults.harness import Rig
from faults.queues import on_channel
from services.registry import QUEUES
from warren_messaging.sender import REDRIVE_EXCHANGE

ROUND = 0.15  # seconds


class Detour:
    """Within the block, what the services' queues would get goes to queues beside them first. Every ROUND seconds a
    share of what is there goes on, in any order; the rest stays, some of it for many rounds. Leaving restores the
    topology and sends on what is left."""

    def __init__(self, rig: Rig, seed: str) -> None:
        self._rig = rig
        self._random = random.Random(seed)
        self._pools: dict[str, list[Any]] = {queue: [] for queue in QUEUES}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._work()), name="detour", daemon=True)
        self._last: dict[tuple[str, str], datetime] = {}
        self.overtaken: dict[str, int] = dict.fromkeys(QUEUES, 0)
        """By queue: events that arrived after one of the same order that was announced later."""

    def __enter__(self) -> Self:
        for queue in QUEUES:
            self._rig.api("PUT", f"queues/{{vhost}}/{_beside(queue)}", json=_QUORUM)
            for binding in self._rig.api("GET", f"queues/{{vhost}}/{queue}/bindings"):
                source, key = binding["source"], binding["routing_key"]
                if source in {"", REDRIVE_EXCHANGE}:
                    continue
                path = f"bindings/{{vhost}}/e/{source}/q/{_beside(queue)}"
                self._rig.api("POST", path, json={"routing_key": key, "arguments": binding["arguments"]})
                self._rig.unbind(source, "q", queue, key)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rig.restore_topology()
        self._leaving.set()
        self._thread.join(60)
        for queue in QUEUES:
            self._rig.api("DELETE", f"queues/{{vhost}}/{_beside(queue)}")

    @property
    def is_empty(self) -> bool:
        return not any(self._pools.values())

    async def _work(self) -> None:
        await on_channel(self._rig, self._carry)

    async def _carry(self, channel: Any) -> None:
        while not self._leaving.is_set():
            await asyncio.sleep(ROUND)
            await self._go_round(channel, lambda waiting: self._random.randint(0, waiting))
        # The bindings are as they were: what comes here now came to the queues, too.
        await self._go_round(channel, lambda waiting: waiting)

    async def _go_round(self, channel: Any, share: Any) -> None:
        for queue, pool in self._pools.items():
            while (message := await channel.basic_get(_beside(queue), no_ack=True)).delivery_tag is not None:
                pool.append(message)
            self._random.shuffle(pool)
            for message in pool[: share(len(pool))]:
                await self._pass_on(channel, queue, message)
                pool.remove(message)

    async def _pass_on(self, channel: Any, queue: str, message: Any) -> None:
        properties = spec.Basic.Properties(delivery_mode=2, priority=message.header.properties.priority)
        await channel.basic_publish(
            bytes(message.body), exchange=REDRIVE_EXCHANGE, routing_key=queue, properties=properties
        )
        event = json.loads(message.body)
        announced, about = datetime.fromisoformat(event["time"]), (queue, event["subject"])
        if about in self._last and self._last[about] > announced:
            self.overtaken[queue] += 1
        self._last[about] = max(announced, self._last.get(about, announced))


_QUORUM = {"durable": True, "arguments": {"x-queue-type": "quorum"}}


def _beside(queue: str) -> str:
    return f"detour.{queue}"
