"""Consumes events of `warren_messaging` with aio-pika alone, and prints each as one line of JSON.

python consume.py 'amqps://ledger:SECRET@rabbit/shop?cafile=ca.pem' ledger.queue --count 10
"""

import argparse
import asyncio
import json

import aio_pika


async def main(url: str, queue_name: str, count: int) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=50)
        queue = await channel.get_queue(queue_name, ensure=False)
        async with queue.iterator() as messages:
            async for message in messages:
                # An exception inside returns the message to the queue, whose delayed retry then applies.
                async with message.process(requeue=True):
                    event = json.loads(message.body)
                    # An event may arrive twice: remember its `logicalid` together with what you do because of it.
                    print(json.dumps(event), flush=True)
                count -= 1
                if count == 0:
                    return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print events as lines of JSON.")
    parser.add_argument("url", help="amqps://user:password@host:port/vhost?cafile=ca.pem")
    parser.add_argument("queue")
    parser.add_argument("--count", type=int, default=0, help="stop after this many; default: never")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.url, arguments.queue, arguments.count))
