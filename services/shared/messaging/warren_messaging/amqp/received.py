"""Subscriptions, and the messages that they receive."""

import hashlib
from collections.abc import Callable

import msgspec
from aiormq import spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from warren_messaging.amqp.properties import RawProperties


class Discarded:
    """Size and hash of a body that was too large for its receiver and was not kept."""

    __slots__ = ("_sha256", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._sha256 = hashlib.sha256()

    def add(self, part: bytes) -> None:
        self._sha256.update(part)

    @property
    def body_hash(self) -> str:
        return self._sha256.hexdigest()


class Received(msgspec.Struct, eq=False):
    """One delivery. Its properties are bytes until they are read, so receiving never fails because of them."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    """Bytes that are not UTF-8 appear as backslash escapes: nothing depends on the name of such a route."""
    properties: RawProperties
    body: bytes
    discarded: Discarded | None = None
    """Size and hash of a body over the limit of the subscription; `body` is then empty."""


class Subscription:
    """An entry in the driver's table of consumers. Calls `receive` with each delivery at once; it must not raise.

    Of a body over `limit` bytes only size and hash are kept: AMQP limits the messages in flight only by number, and 200
    bodies of 16 MiB do not fit into a process.

    The driver calls the subscription on a connection without `FrameTransport`, where every body is kept.
    """

    __slots__ = ("limit", "receive")

    def __init__(self, receive: Callable[[Received], None], limit: int | None = None) -> None:
        self.receive = receive
        self.limit = limit

    async def __call__(self, message: DeliveredMessage) -> None:
        properties = RawProperties.of(message.header.properties)
        tag, exchange, key = message.delivery_tag or 0, message.exchange or "", message.routing_key or ""
        self.receive(Received(tag, bool(message.redelivered), exchange, key, properties, message.body))


async def consume(
    channel: AbstractChannel, queue: str, receive: Callable[[Received], None], *, tag: str, limit: int | None = None
) -> None:
    """Subscribe to a queue with a consumer tag. `channel.basic_cancel(tag)` ends the subscription: every delivery that
    the broker sent before its answer has then been received."""
    # The abstract type lacks both.
    channel.consumers[tag] = Subscription(receive, limit)  # type: ignore[attr-defined]
    await channel.rpc(spec.Basic.Consume(queue=queue, consumer_tag=tag))  # type: ignore[attr-defined]
