"""Messages that wait in a queue whose consumer is away."""

import random
from collections.abc import Callable

import aiormq
from aiormq import spec
from aiormq.channel import Channel

from devtools.servers.endpoints import BrokerEndpoints
from loadtest.consumer import load
from loadtest.errors import RunFailed
from warren_messaging.amqp.pipeline import Frame, Outcome, forget, send

WINDOW = 1000  # messages that share a wait for confirms
BODIES = 100  # different ones; what is in them is nothing to the queue


async def fill(
    broker: BrokerEndpoints, vhost: str, queue: str, messages: int, on_progress: Callable[[float], None]
) -> None:
    """Put `messages` into `queue`, each confirmed. Raises RunFailed when one is not."""
    chance = random.Random(1)  # noqa: S311 - a load, not a secret
    bodies = [load.created(chance, "order") for _ in range(BODIES)]
    connection = await aiormq.connect(f"{broker.amqps_url(vhost=vhost)}?cafile={broker.ca_file}")
    try:
        channel = await connection.channel(on_return_raises=True)
        if not isinstance(channel, Channel):
            raise TypeError(f"the driver gave a {type(channel).__name__}")
        for start in range(0, messages, WINDOW):
            frames = [
                Frame(
                    "", queue, bodies[number % BODIES], spec.Basic.Properties(delivery_mode=2, message_id=str(number))
                )
                for number in range(start, min(start + WINDOW, messages))
            ]
            batch = await send(channel, frames)
            await batch.finished
            if set(batch.outcomes) != {Outcome.CONFIRMED}:
                raise RunFailed(f"{queue} does not take every message")
            forget(channel, frames)
            on_progress(start / messages)
    finally:
        await connection.close()


async def depth(broker: BrokerEndpoints, vhost: str, queue: str, *, purge: bool = False) -> int:
    """How many messages wait; with `purge` they are removed after counting."""
    connection = await aiormq.connect(f"{broker.amqps_url(vhost=vhost)}?cafile={broker.ca_file}")
    try:
        channel = await connection.channel()
        count = int((await channel.queue_declare(queue, passive=True)).message_count or 0)
        if purge:
            await channel.queue_purge(queue)
        return count
    finally:
        await connection.close()
