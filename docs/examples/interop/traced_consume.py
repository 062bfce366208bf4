"""Consumes events of `warren_messaging`, traced by opentelemetry-instrumentation-aio-pika, and prints each span.

    python traced_consume.py 'amqps://ledger:SECRET@rabbit/shop?cafile=ca.pem' ledger.queue --count 10

Each span belongs to the trace of the event: the library sends an event's `traceparent` as a header too.
"""

import argparse
import asyncio

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from opentelemetry import trace
from opentelemetry.instrumentation.aio_pika import AioPikaInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor


async def main(url: str, queue_name: str, count: int) -> None:
    tracer = trace.get_tracer(__name__)
    connection = await aio_pika.connect(url)
    done = asyncio.Event()
    seen = 0

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal seen
        async with message.process(requeue=True):
            # A span of the program's own work becomes a child of the span of the delivery.
            with tracer.start_as_current_span(f"handle {message.routing_key}"):
                pass
        seen += 1
        if seen == count:
            done.set()

    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=50)
        queue = await channel.get_queue(queue_name, ensure=False)
        # With a callback: in `queue.iterator()`, a span would end before the loop's body begins.
        await queue.consume(on_message)
        await done.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print a span for each event.")
    parser.add_argument("url", help="amqps://user:password@host:port/vhost?cafile=ca.pem")
    parser.add_argument("queue")
    parser.add_argument("--count", type=int, default=0, help="stop after this many; default: never")
    arguments = parser.parse_args()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)
    AioPikaInstrumentor().instrument()
    asyncio.run(main(arguments.url, arguments.queue, arguments.count))
