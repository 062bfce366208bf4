"""python -m loadtest.consumer.raw_loop: consumes, publishes one message with a confirm, and acknowledges.

It is fast and not safe: no inbox, no state, no outbox, no decoding, and one body that is encoded once. On the wire it
does the same as the probe: TLS, two connections, the same queues, persistent and mandatory messages of the same size
with the same properties. `--shape` chooses how it is written. With `rounds`, the faster one, messages that have arrived
are published together and acknowledged with one frame, and several rounds overlap. With `callbacks` each message is
published and acknowledged by a task of its own.
"""

import argparse
import asyncio
import os
import ssl
import time
from pathlib import Path
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from loadtest.consumer import events
from loadtest.consumer.round import RoundResult, run_side
from loadtest.messages import persistent_message
from warren_messaging.amqp.connection import BrokerAddress

PREFETCH = 2000
"""Far more than arrive during a confirm's round trip, so that the loop never waits for the broker."""
ROUND_SIZE = 500
"""Publishes that share a wait."""
MAX_ROUNDS = 4
"""Rounds under way at one time, so that none waits for a confirm's round trip."""


class RawLoop:
    def __init__(self, messages: int, exchange: AbstractExchange, user: str) -> None:
        self._messages = messages
        self._exchange = exchange
        self._user = user
        self._body = events.confirmed()
        self._done = 0
        self._arrived: list[AbstractIncomingMessage] = []
        self._arrival = asyncio.Event()
        self.finished = asyncio.Event()

    async def publish(self) -> None:
        message = persistent_message(
            self._body, "order.confirmed", event_id=uuid4(), subject=uuid4(), user=self._user, app="probe"
        )
        await self._exchange.publish(message, "order.confirmed")

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """Shape `callbacks`."""
        await self.publish()
        await message.ack()
        self._done += 1
        if self._done == self._messages:
            self.finished.set()

    async def collect(self, message: AbstractIncomingMessage) -> None:
        """Shape `rounds`."""
        self._arrived.append(message)
        self._arrival.set()

    async def run_rounds(self) -> None:
        free = asyncio.Semaphore(MAX_ROUNDS)
        previous: asyncio.Task[None] | None = None
        taken = 0
        while taken < self._messages:
            await self._arrival.wait()
            self._arrival.clear()
            while self._arrived:
                await free.acquire()
                batch, self._arrived = self._arrived[:ROUND_SIZE], self._arrived[ROUND_SIZE:]
                taken += len(batch)
                previous = asyncio.create_task(self._round(batch, previous))
                previous.add_done_callback(lambda _: free.release())
        if previous is not None:
            await previous
        self.finished.set()

    async def _round(self, batch: list[AbstractIncomingMessage], previous: asyncio.Task[None] | None) -> None:
        await asyncio.gather(*(self.publish() for _ in batch))
        if previous is not None:
            await previous  # this acknowledgement covers its messages too
        await batch[-1].ack(multiple=True)


async def measure(options: argparse.Namespace) -> RoundResult:
    address = BrokerAddress(
        os.environ["WARREN_BROKER_URL"],
        Path(os.environ["WARREN_BROKER_CREDENTIALS"]),
        Path(os.environ["WARREN_BROKER_CA_FILE"]),
    )
    tls = ssl.create_default_context(cafile=address.ca_file)
    url = address.with_credentials()
    wall, cpu = time.perf_counter(), time.process_time()
    incoming = await aio_pika.connect(url, ssl_context=tls)
    outgoing = await aio_pika.connect(url, ssl_context=tls)
    exchange = await (await outgoing.channel(on_return_raises=True)).get_exchange("order.exchange", ensure=False)
    channel = await incoming.channel(publisher_confirms=False)
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue("probe.queue", ensure=False)
    loop = RawLoop(options.messages, exchange, address.username)
    rounds = asyncio.create_task(loop.run_rounds()) if options.shape == "rounds" else None
    await queue.consume(loop.collect if rounds else loop.handle)
    await loop.finished.wait()
    result = RoundResult(options.messages, time.perf_counter() - wall, time.process_time() - cpu)
    await incoming.close()
    await outgoing.close()
    return result


if __name__ == "__main__":
    run_side("loadtest.consumer.raw_loop", measure, shapes=["rounds", "callbacks"])
