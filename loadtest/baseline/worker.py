"""python -m loadtest.baseline.worker publish|consume|insert COUNT …: does one thing, and prints its CPU seconds.

Each is as fast as its driver allows: publishes and acknowledgements share waits and frames, and rows are inserted in
batches of a hundred, one statement and one transaction for each. Run by `python -m loadtest`.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import aio_pika
import asyncpg
import uvloop
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from loadtest.baseline.row_kinds import ROW_KINDS
from loadtest.child import write_result
from loadtest.consumer import events
from loadtest.messages import persistent_message
from services.shared.chassis.settings import ENV_PREFIX, ProcessSettings
from warren_messaging.settings import load_settings

QUEUES = ("first.queue", "second.queue", "third.queue")
WINDOW = 500  # publishes that share a wait
PREFETCH = 1000
ACK_BATCH = 100  # deliveries that share one acknowledgement
ROW_BATCH = 100


async def publish(settings: ProcessSettings, count: int) -> None:
    async with await _connect(settings) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange("baseline.exchange", ensure=False)
        body = events.confirmed()
        for start in range(0, count, WINDOW):
            messages = [
                persistent_message(
                    body, "order.confirmed", event_id=uuid4(), subject=uuid4(), user="baseline", app="baseline"
                )
                for _ in range(min(WINDOW, count - start))
            ]
            await asyncio.gather(*(exchange.publish(message, "order.confirmed") for message in messages))


async def consume(settings: ProcessSettings, count: int) -> None:
    finished = asyncio.Event()
    done = 0

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal done
        done += 1
        number = done  # `done` changes while the acknowledgement is written
        if number % ACK_BATCH == 0 or number == count:
            await message.ack(multiple=True)
        if number == count:
            finished.set()

    async with await _connect(settings) as connection:
        channel = await connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        for queue in [await channel.get_queue(name, ensure=False) for name in QUEUES]:
            await queue.consume(on_message)
        await finished.wait()


async def insert(settings: ProcessSettings, *counts: int) -> None:
    """Insert rows: a count for each of ROW_KINDS."""
    address = settings.database
    connection = await asyncpg.connect(address.url, password=address.password(), ssl=address.tls())
    try:
        for kind, count in zip(ROW_KINDS, counts, strict=True):
            for start in range(0, count, ROW_BATCH):
                await connection.execute(kind.insert, *kind.columns(min(ROW_BATCH, count - start)))
    finally:
        await connection.close()


async def _connect(settings: ProcessSettings) -> AbstractConnection:
    broker = settings.broker
    return await aio_pika.connect(broker.with_credentials(), ssl_context=broker.tls())


def main() -> None:
    tasks: dict[str, Callable[..., Coroutine[Any, Any, None]]]
    tasks = {"publish": publish, "consume": consume, "insert": insert}
    parser = argparse.ArgumentParser(prog="python -m loadtest.baseline.worker", description=__doc__)
    parser.add_argument("task", choices=tasks)
    parser.add_argument("counts", type=int, nargs="+", help="messages; or rows of each kind")
    options = parser.parse_args()
    settings = load_settings(ProcessSettings, ENV_PREFIX)
    started = time.process_time()
    uvloop.run(tasks[options.task](settings, *options.counts))
    write_result(time.process_time() - started)


if __name__ == "__main__":
    main()
