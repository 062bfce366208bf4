"""Publishes one event with aio-pika alone, in the form that every consumer of `warren_messaging` accepts.

    python publish.py 'amqps://ledger:SECRET@rabbit/shop?cafile=ca.pem' order.exchange ledger.booked '{"cents": 5}'

docs/interoperation.md lists the properties and attributes.
"""

import argparse
import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import aio_pika
from yarl import URL


def message_of(user: str, event_type: str, data: Any, subject: uuid.UUID, number: int = 1) -> aio_pika.Message:
    """Return the `number`-th event of `user` about `subject`. `user` is the broker user of the connection."""
    event_id, now = str(uuid.uuid4()), datetime.now(UTC)
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/example/{user}",  # its last part must be the broker user
        "type": event_type,
        "subject": str(subject),
        "time": now.isoformat(),
        "logicalid": event_id,  # a repetition carries the same one, and has no second effect
        "sourcesequence": number,
        "data": data,
    }
    return aio_pika.Message(
        json.dumps(event).encode(),
        content_type="application/cloudevents+json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        user_id=user,  # the broker refuses every other name
        message_id=event_id,
        correlation_id=str(subject),
        timestamp=now,
        type=event_type,
    )


async def main(url: str, exchange_name: str, event_type: str, data: Any, subject: uuid.UUID) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        # An event that reaches no queue is an error, not a loss.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange(exchange_name, ensure=False)
        message = message_of(URL(url).user or "", event_type, data, subject)
        await exchange.publish(message, routing_key=event_type)  # the type is the routing key
    print(message.message_id)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Publish one event and print its id.")
    parser.add_argument("url", help="amqps://user:password@host:port/vhost?cafile=ca.pem")
    parser.add_argument("exchange")
    parser.add_argument("type", help="event type, and routing key")
    parser.add_argument("data", type=json.loads, help="JSON")
    parser.add_argument("--subject", type=uuid.UUID, default=uuid.uuid4(), help="UUID; default: a new one")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.url, arguments.exchange, arguments.type, arguments.data, arguments.subject))
