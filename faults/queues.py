"""Taking messages out of queues and putting others in, as the administrator.

They go in through the exchange for replays, so that services do not ask for their sender.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import aiormq
from aiormq import spec

from devtools.local.topology import VHOST
from faults.harness import Rig
from warren_messaging.amqp.pipeline import Frame, send
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.sender import REDRIVE_EXCHANGE

PERSISTENT = RawProperties.of(spec.Basic.Properties(delivery_mode=2))


def put(rig: Rig, messages: Iterable[tuple[str, bytes]], properties: RawProperties = PERSISTENT) -> None:
    """Put bodies into queues, in this order, with properties of any bytes."""

    async def work(channel: Any) -> None:
        for queue, body in messages:
            batch = await send(channel, [Frame(REDRIVE_EXCHANGE, queue, body, properties)])
            await batch.finished

    asyncio.run(on_channel(rig, work))


def take(rig: Rig, queue: str) -> list[bytes]:
    """Take every message that is ready out of a queue."""
    return [bytes(message.body) for message in drain(rig, queue)]


def drain(rig: Rig, queue: str) -> list[Any]:
    """As `take`, with what the broker says of each message."""
    messages: list[Any] = []

    async def work(channel: Any) -> None:
        while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
            messages.append(message)

    asyncio.run(on_channel(rig, work))
    return messages


def takers(rig: Rig) -> dict[str, list[str]]:
    """Event type to the services' queues that get it."""
    bound: dict[str, list[str]] = {}
    for binding in rig.api("GET", "exchanges/{vhost}/workflow.exchange/bindings/source"):
        bound.setdefault(binding["routing_key"], []).append(binding["destination"])
    return bound


async def on_channel(rig: Rig, work: Callable[[Any], Awaitable[None]]) -> None:
    """Do something on a channel of the administrator's own, which confirms what is published."""
    broker = rig.servers.broker.address
    connection = await aiormq.connect(f"{broker.amqps_url(vhost=VHOST)}?cafile={broker.ca_file}")
    try:
        await work(await connection.channel())
    finally:
        await connection.close()
