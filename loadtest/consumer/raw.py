"""python -m loadtest.consumer.raw: the bare loop. Consume, publish one message with a confirm, acknowledge.

It is meant to be fast, not to be safe: no inbox, no state, no outbox, no decoding, and the body it publishes was
encoded once. Everything the wire shows is the same as the probe's: TLS, two connections, the same queues, persistent
and mandatory messages of the same size with the same properties. Both ways to write it were measured: callbacks that
run side by side, each publishing and acknowledging its own message, and rounds, in which what has arrived is published
together and acknowledged with one frame, several of them overlapping. `--shape` chooses; the default is the faster one.
"""

import argparse
import asyncio
import os
import ssl
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aio_pika
import uvloop
from aio_pika.abc import AbstractExchange, AbstractIncomingMessage

from loadtest import cores
from loadtest.consumer import load
from loadtest.consumer.outcome import Outcome
from loadtest.profiling import profiled
from loadtest.result import write_result
from services.shared.contracts import CONTENT_TYPE
from warren_messaging.amqp.connection import BrokerAddress

PREFETCH = 2000
"""Far more than a confirm's round trip needs; the broker keeps the loop busy throughout."""
ROUND = 500
"""Publishes that share a wait."""
ROUNDS = 4
"""Rounds under way at one time, so that nobody waits for a confirm's round trip."""


class Loop:
    def __init__(self, messages: int, exchange: AbstractExchange, user: str) -> None:
        self._messages = messages
        self._exchange = exchange
        self._user = user
        self._body = load.confirmed()
        self._done = 0
        self._waiting: list[AbstractIncomingMessage] = []
        self._news = asyncio.Event()
        self.finished = asyncio.Event()

    async def publish(self) -> None:
        message = aio_pika.Message(
            self._body,
            content_type=CONTENT_TYPE,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=str(uuid4()),
            correlation_id=str(uuid4()),
            type="order.confirmed",
            timestamp=datetime.now(UTC),
            user_id=self._user,
            app_id="probe",
        )
        await self._exchange.publish(message, "order.confirmed")

    # Side by side

    async def on_message(self, message: AbstractIncomingMessage) -> None:
        await self.publish()
        await message.ack()
        self._done += 1
        if self._done == self._messages:
            self.finished.set()

    # In rounds

    async def keep(self, message: AbstractIncomingMessage) -> None:
        self._waiting.append(message)
        self._news.set()

    async def rounds(self) -> None:
        free = asyncio.Semaphore(ROUNDS)
        before: asyncio.Task[None] | None = None
        taken = 0
        while taken < self._messages:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await free.acquire()
                batch, self._waiting = self._waiting[:ROUND], self._waiting[ROUND:]
                taken += len(batch)
                before = asyncio.create_task(self._round(batch, before))
                before.add_done_callback(lambda _: free.release())
        if before is not None:
            await before
        self.finished.set()

    async def _round(self, batch: list[AbstractIncomingMessage], before: asyncio.Task[None] | None) -> None:
        await asyncio.gather(*(self.publish() for _ in batch))
        if before is not None:
            await before  # its messages would be covered by our acknowledgement
        await batch[-1].ack(multiple=True)


async def measure(messages: int, address: BrokerAddress, shape: str) -> Outcome:
    tls = ssl.create_default_context(cafile=address.ca_file)
    url = address.with_credentials()
    wall, cpu = time.perf_counter(), time.process_time()
    incoming = await aio_pika.connect(url, ssl_context=tls)
    outgoing = await aio_pika.connect(url, ssl_context=tls)
    exchange = await (await outgoing.channel(on_return_raises=True)).get_exchange("order.exchange", ensure=False)
    channel = await incoming.channel(publisher_confirms=False)
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue("probe.queue", ensure=False)
    loop = Loop(messages, exchange, address.username)
    rounds = asyncio.create_task(loop.rounds()) if shape == "rounds" else None
    await queue.consume(loop.keep if rounds else loop.on_message)
    await loop.finished.wait()
    outcome = Outcome(messages, time.perf_counter() - wall, time.process_time() - cpu)
    await incoming.close()
    await outgoing.close()
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.consumer.raw", description=__doc__)
    parser.add_argument("--messages", type=int, required=True)
    parser.add_argument("--core", type=int, help="run on this core only")
    parser.add_argument("--shape", choices=["rounds", "callbacks"], default="rounds")
    parser.add_argument("--profile", action="store_true", help="run under cProfile; the table goes to standard error")
    options = parser.parse_args()
    cores.take(options.core)
    environment = os.environ
    address = BrokerAddress(
        environment["WARREN_BROKER_URL"],
        Path(environment["WARREN_BROKER_CREDENTIALS"]),
        Path(environment["WARREN_BROKER_CA_FILE"]),
    )
    with profiled(sys.stderr if options.profile else None):
        outcome = uvloop.run(measure(options.messages, address, options.shape))
    write_result(outcome)


if __name__ == "__main__":
    main()
