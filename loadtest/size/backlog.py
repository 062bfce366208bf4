"""Messages that wait in a queue without a consumer."""

import random
from collections.abc import Callable

from aiormq import spec
from aiormq.channel import Channel

from devtools.servers.endpoints import BrokerEndpoints
from loadtest.child import RunFailed
from loadtest.consumer import events
from loadtest.environment import admin_channel
from warren_messaging.amqp.pipeline import Frame, Outcome, forget, send

WINDOW = 1000  # messages that share a wait for confirms
BODIES = 100  # different ones


async def fill(
    broker: BrokerEndpoints, vhost: str, queue: str, messages: int, on_progress: Callable[[float], None]
) -> None:
    """Publish `messages` to `queue` with confirms. Raises RunFailed when one is not confirmed."""
    chance = random.Random(1)  # noqa: S311 - not a secret
    bodies = [events.created(chance, "order") for _ in range(BODIES)]
    async with admin_channel(broker, vhost) as channel:
        assert isinstance(channel, Channel)  # noqa: S101 - what the driver returns
        for start in range(0, messages, WINDOW):
            frames = [
                Frame.of(
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


async def depth(broker: BrokerEndpoints, vhost: str, queue: str, *, purge: bool = False) -> int:
    """How many messages wait; `purge` removes them."""
    async with admin_channel(broker, vhost) as channel:
        count = int((await channel.queue_declare(queue, passive=True)).message_count or 0)
        if purge:
            await channel.queue_purge(queue)
        return count
