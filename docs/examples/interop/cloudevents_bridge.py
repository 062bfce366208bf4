"""Answers each event of a queue with another event. The CloudEvents SDK reads and writes both; aio-pika carries them.

    python cloudevents_bridge.py 'amqps://ledger:SECRET@rabbit/shop?cafile=ca.pem' ledger.queue order.exchange \
        ledger.booked --count 10
"""

import argparse
import asyncio
import uuid

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from cloudevents.core.bindings import rabbitmq
from cloudevents.core.v1.event import CloudEvent
from yarl import URL


def read(message: AbstractIncomingMessage) -> CloudEvent:
    return rabbitmq.from_rabbitmq_event(rabbitmq.RabbitMQMessage({}, message.content_type, message.body))


def answer(cause: CloudEvent, user: str, event_type: str) -> CloudEvent:
    """Return an event of `user` about the subject of its cause. Its data is a copy of the cause's data."""
    # The id follows from the cause: if the cause arrives twice, the answer is a repetition that has no second effect.
    event_id = str(uuid.uuid5(uuid.UUID(cause.get_id()), event_type))
    attributes = {
        "id": event_id,
        "source": f"/example/{user}",
        "type": event_type,
        "subject": cause.get_subject(),
        "logicalid": event_id,
        "sourcesequence": 1,
        "causationid": cause.get_id(),
    }
    return CloudEvent(attributes, cause.get_data())


def write(event: CloudEvent, user: str) -> aio_pika.Message:
    encoded = rabbitmq.to_structured_event(event)
    return aio_pika.Message(
        encoded.body,
        content_type=encoded.content_type,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        user_id=user,
        message_id=event.get_id(),
        type=event.get_type(),
    )


async def main(url: str, queue_name: str, exchange_name: str, event_type: str, count: int) -> None:
    user = URL(url).user or ""
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(exchange_name, ensure=False)
        queue = await channel.get_queue(queue_name, ensure=False)
        async with queue.iterator() as messages:
            async for message in messages:
                # The answer is confirmed before its cause is acknowledged.
                async with message.process(requeue=True):
                    event = answer(read(message), user, event_type)
                    await exchange.publish(write(event, user), routing_key=event_type)
                count -= 1
                if count == 0:
                    return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Answer each event of a queue with another event.")
    parser.add_argument("url", help="amqps://user:password@host:port/vhost?cafile=ca.pem")
    parser.add_argument("queue")
    parser.add_argument("exchange")
    parser.add_argument("type", help="event type of the answers, and routing key")
    parser.add_argument("--count", type=int, default=0, help="stop after this many; default: never")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.url, arguments.queue, arguments.exchange, arguments.type, arguments.count))
