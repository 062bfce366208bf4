"""A message as a queue handed it out, and how to subscribe to such messages."""

from collections.abc import Callable

from aiormq import spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from services.shared.messaging.properties import RawProperties


class Received:
    """One delivery. Its properties are bytes until they are asked for, so receiving never fails over them."""

    __slots__ = ("body", "exchange", "properties", "redelivered", "routing_key", "tag")

    def __init__(
        self,
        tag: int,
        redelivered: bool,
        exchange: str,
        routing_key: str,
        properties: RawProperties,
        body: bytes,
    ) -> None:
        self.tag = tag
        self.redelivered = redelivered
        self.exchange = exchange
        self.routing_key = routing_key
        """Bytes that are not UTF-8 stand as backslash escapes here: nothing depends on the name of such a route."""
        self.properties = properties
        self.body = body


class Subscription:
    """Stands in the driver's table of consumers; `receive` is called at once, with each delivery, and must not raise.

    `receive` gets what the driver hands over, too: that is what happens on a connection without `FrameTransport`.
    """

    __slots__ = ("receive",)

    def __init__(self, receive: Callable[[Received], None]) -> None:
        self.receive = receive

    async def __call__(self, message: DeliveredMessage) -> None:
        properties = RawProperties.of(message.header.properties)
        tag, exchange, key = message.delivery_tag or 0, message.exchange or "", message.routing_key or ""
        self.receive(Received(tag, bool(message.redelivered), exchange, key, properties, message.body))


async def consume(channel: AbstractChannel, queue: str, receive: Callable[[Received], None], *, tag: str) -> None:
    """Subscribe to a queue under a consumer tag of the caller's choice. `channel.basic_cancel(tag)` ends it: every
    delivery that came before the broker's answer has then been received."""
    # The abstract type lacks both.
    channel.consumers[tag] = Subscription(receive)  # type: ignore[attr-defined]
    await channel.rpc(spec.Basic.Consume(queue=queue, consumer_tag=tag))  # type: ignore[attr-defined]
