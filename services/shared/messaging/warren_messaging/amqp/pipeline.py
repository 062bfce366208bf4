"""Publishes many messages with one write and one wait for all their confirms.

The driver's own publish costs a task, two futures and a lock for each message, more than everything else about it. This
module writes the same frames and enters them in the driver's tables (`Channel.confirmations`, `delivery_tag`,
`message_id_delivery_tag`, `write_queue`), so that `frames` or the driver match confirms and returns, and a closed
channel still ends the wait.
"""

from collections.abc import Sequence
from enum import Enum, auto
from struct import Struct
from typing import Any

import msgspec
import pamqp.frame
from aiormq import exceptions as amqp
from aiormq import spec
from aiormq.abc import ChannelFrame
from aiormq.channel import Channel

from warren_messaging.amqp.properties import RawProperties

_HEADER = Struct(">BHIHHQ")
_BODY = Struct(">BHI")
_END = b"\xce"


class PublishResult(Enum):
    """The broker's answer to one publish."""

    CONFIRMED = auto()
    """The broker has stored it in at least one queue."""
    RETURNED = auto()
    """No queue took it. It is gone at the broker: the sender must keep it."""
    REFUSED = auto()
    """A queue is full or could not store it: the sender must keep it."""


class PublishFrame(msgspec.Struct, frozen=True, gc=False):
    """One publish, encoded except for its channel."""

    exchange: str
    routing_key: str
    body: bytes
    properties: bytes
    message_key: str
    """The message id of the properties. A returned message is matched by it."""

    @classmethod
    def of(
        cls, exchange: str, routing_key: str, body: bytes, properties: spec.Basic.Properties | RawProperties
    ) -> "PublishFrame":
        raw = properties if isinstance(properties, RawProperties) else RawProperties.of(properties)
        return cls(exchange, routing_key, body, raw.data, message_key(raw))


def message_key(properties: RawProperties) -> str:
    """Return the key of a message in the driver's table of returns: the message id, whether it is UTF-8 or not."""
    return (properties.raw("message_id") or b"").decode(errors="surrogateescape")


class PublishBatch:
    """Publishes in progress. `finished` ends with the last answer, or fails with the channel."""

    def __init__(self, channel: Channel, size: int) -> None:
        self._results: list[PublishResult | None] = [None] * size
        self._left = size
        self.finished = channel.create_future()

    @property
    def results(self) -> list[PublishResult]:
        """The results in the order of the publishes, complete when `finished` is done."""
        return [result for result in self._results if result is not None]

    def has(self, index: int) -> bool:
        return self._results[index] is not None

    def settle(self, index: int, result: PublishResult) -> None:
        if self._results[index] is not None:
            return  # the broker also confirms a returned message
        self._results[index] = result
        self._left -= 1
        if not self._left and not self.finished.done():
            self.finished.set_result(None)


class PendingConfirm(msgspec.Struct, frozen=True, eq=False, gc=False):
    """An entry in the driver's table of confirmations, where the driver itself has a future."""

    batch: PublishBatch
    index: int

    def settle(self, result: PublishResult) -> None:
        self.batch.settle(self.index, result)

    # Called by the driver when it reads the answer itself

    def done(self) -> bool:
        return self.batch.has(self.index)

    def cancelled(self) -> bool:
        return False

    def set_result(self, _: object) -> None:
        self.settle(PublishResult.CONFIRMED)

    def set_exception(self, error: BaseException) -> None:
        self.settle(PublishResult.RETURNED if isinstance(error, amqp.PublishError) else PublishResult.REFUSED)


async def send(channel: Channel, frames: Sequence[PublishFrame]) -> PublishBatch:
    """Write all publishes, mandatory, to a channel with confirms and `on_return_raises`. Their message ids must differ.

    Raises the driver's errors. After an error the channel's count of publishes may be wrong: close the channel.
    """
    batch = PublishBatch(channel, len(frames))
    confirmations: dict[int, Any] = channel.confirmations
    methods: dict[tuple[str, str], bytes] = {}
    written: list[bytes] = []
    number = channel.number
    async with channel.lock:
        tag = channel.delivery_tag
        for index, frame in enumerate(frames):
            tag += 1
            confirmations[tag] = PendingConfirm(batch, index)
            channel.message_id_delivery_tag[frame.message_key] = tag
            route = (frame.exchange, frame.routing_key)
            method = methods.get(route)
            if method is None:
                publish = spec.Basic.Publish(exchange=route[0], routing_key=route[1], mandatory=True)
                method = methods[route] = pamqp.frame.marshal(publish, number)
            body, properties = frame.body, frame.properties
            size = len(body)
            written += (method, _HEADER.pack(2, number, 12 + len(properties), 60, 0, size), properties, _END)
            if size <= channel.max_content_size:
                written += (_BODY.pack(3, number, size), body, _END) if size else ()
                continue
            for start in range(0, size, channel.max_content_size):
                part = body[start : start + channel.max_content_size]
                written += (_BODY.pack(3, number, len(part)), part, _END)
        channel.delivery_tag = tag
        await channel.write_queue.put(ChannelFrame(payload=b"".join(written), should_close=False))
    return batch


def forget(channel: Channel, frames: Sequence[PublishFrame]) -> None:
    """Remove finished publishes from the driver's table of returns."""
    for frame in frames:
        channel.message_id_delivery_tag.pop(frame.message_key, None)
