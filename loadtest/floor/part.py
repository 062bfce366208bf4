"""python -m loadtest.floor.part publish|consume|insert COUNT …: one process that does one thing, and its CPU.

Each is written as fast as its driver allows: publishes and acknowledgements many at a time, rows in batches of a
hundred, one statement and one transaction a batch. Prints seconds of CPU. Run by `python -m loadtest`.
"""

import argparse
import asyncio
import ssl
import sys
import time
from datetime import UTC, datetime
from uuid import uuid4

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from loadtest.consumer import load
from loadtest.floor.rows import KINDS
from services.shared.chassis.settings import ProcessSettings, load_settings
from services.shared.contracts import CONTENT_TYPE

QUEUES = ("first.queue", "second.queue", "third.queue")
WINDOW = 500  # publishes that share a wait
PREFETCH = 1000
ACKNOWLEDGED = 100  # deliveries that share one acknowledgement
BATCH = 100  # rows


async def publish(settings: ProcessSettings, count: int) -> None:
    async with await aio_pika.connect(settings.broker.with_credentials(), ssl_context=_tls(settings)) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange("floor.exchange", ensure=False)
        body = load.confirmed()
        for start in range(0, count, WINDOW):
            await asyncio.gather(
                *(exchange.publish(_message(body), "order.confirmed") for _ in range(min(WINDOW, count - start)))
            )


async def consume(settings: ProcessSettings, count: int) -> None:
    finished = asyncio.Event()
    done = 0

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal done
        done += 1
        number = done  # it moves on while the acknowledgement is written
        if number % ACKNOWLEDGED == 0 or number == count:
            await message.ack(multiple=True)
        if number == count:
            finished.set()

    async with await aio_pika.connect(settings.broker.with_credentials(), ssl_context=_tls(settings)) as connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        queues = [await channel.get_queue(name, ensure=False) for name in QUEUES]
        for queue in queues:
            await queue.consume(on_message)
        await finished.wait()


async def insert(settings: ProcessSettings, marks: int, events: int, states: int) -> None:
    address = settings.database
    connection = await asyncpg.connect(address.url, password=address.password(), ssl=address.tls())
    try:
        for kind, count in zip(KINDS, (marks, events, states), strict=True):
            for start in range(0, count, BATCH):
                await connection.execute(kind.insert, *kind.columns(min(BATCH, count - start)))
    finally:
        await connection.close()


def _message(body: bytes) -> aio_pika.Message:
    return aio_pika.Message(
        body,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=str(uuid4()),
        correlation_id=str(uuid4()),
        type="order.confirmed",
        timestamp=datetime.now(UTC),
        user_id="floor",
        app_id="floor",
    )


def _tls(settings: ProcessSettings) -> ssl.SSLContext:
    return settings.broker.tls()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.floor.part", description=__doc__)
    parser.add_argument("part", choices=["publish", "consume", "insert"])
    parser.add_argument("counts", type=int, nargs="+", help="messages; or rows of each kind")
    options = parser.parse_args()
    settings = load_settings(ProcessSettings)
    started = time.process_time()
    match options.part:
        case "publish":
            uvloop.run(publish(settings, *options.counts))
        case "consume":
            uvloop.run(consume(settings, *options.counts))
        case _:
            uvloop.run(insert(settings, *options.counts))
    sys.stdout.write(f"{time.process_time() - started}\n")


if __name__ == "__main__":
    main()
