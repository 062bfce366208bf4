"""Splits the bytes from the broker into frames; deliveries and confirms do not pass through the driver.

The driver reads a frame in three steps, makes an object of it and passes it through two queues, with a task for each
delivery; and a delivery with undecodable properties ends its connection. `FrameReader` is the stream that the driver
reads from. It takes out the frequent frames (deliveries to a `Subscription`, confirms and returns of `pipeline.send`)
and handles them as they arrive, with the driver's own tables (`Connection.channels`, `Channel.consumers`,
`Channel.confirmations`). The driver reads all other frames. Without `FrameTransport` it reads all frames, with the same
effect.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable
from itertools import takewhile
from struct import Struct
from typing import Any

import aiormq
from aiormq import exceptions as amqp
from aiormq.connection import TransportFactory
from yarl import URL

from warren_messaging.amqp.pipeline import PendingConfirm, PublishResult, message_key
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.amqp.received import Discarded, Received, Subscription

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
DELIVER, RETURN = b"\0\x3c\0\x3c", b"\0\x3c\0\x32"
_RESULTS = {b"\0\x3c\0\x50": PublishResult.CONFIRMED, b"\0\x3c\0\x78": PublishResult.REFUSED}  # ack, nack
MAX_FRAME = 131_072  # bytes, before the broker has announced its limit
NOTES = 64 * 1024  # bytes; the broker adds headers (x-death, x-delivery-count) to a frame that may be full
MAX_BODY = 512 * 1024 * 1024  # bytes; the maximum of RabbitMQ, whatever its settings
ALIVE = b"\x08\x00\x00\x00\x00\x00\x00\xce"  # a heartbeat
ALIVE_SECONDS = 1.0  # longest time in which the driver sees no frame while others arrive

_FRAME = Struct(">BHI")
_CONTENT = Struct(">HHQ")
_HEADER = Struct(">BHIHHQ")
_DELIVERY = Struct(">QB")
_CONFIRM = Struct(">QB")


class _Content:
    """A delivery or return whose header or body has not arrived completely."""

    __slots__ = ("arguments", "discarded", "finish", "left", "limit", "parts", "properties")

    def __init__(self, finish: Callable[..., None] | None, *arguments: Any, limit: int | None = None) -> None:
        self.finish = finish
        """None: its channel or subscription has ended."""
        self.limit = limit
        """Maximum size in bytes of a body that is kept; None for any size."""
        self.discarded: Discarded | None = None
        self.arguments = arguments
        self.properties: RawProperties | None = None
        self.left = 0
        self.parts: list[bytes] = []


class FrameReader(asyncio.StreamReader):
    """A stream that removes frames from its input. Holds at most one incomplete frame, and as many messages as prefetch
    allows, each body up to the limit of its subscription."""

    def __init__(self, connection: aiormq.Connection, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._connection = connection
        self._channels: dict[int, Any] = connection.channels
        self._max_frame = 0
        self._contents: dict[int, _Content] = {}
        self._rest = b""
        self._time = loop.time
        self._passed_on = loop.time()
        self._broken = False

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # all that transports feed
        if self._broken:
            return
        if self._rest:
            data = self._rest + data
        at, size, other, taken = 0, len(data), bytearray(), False
        try:
            while size - at >= 8:
                kind, number, length = _FRAME.unpack_from(data, at)
                if length + 8 > self._max_frame:
                    self._require_negotiated(length + 8)
                stop = at + 7 + length
                if stop >= size:
                    break
                end = self._take(kind, number, data, at + 7, stop)
                if end:
                    taken = True
                else:
                    end = stop + 1
                    other += data[at:end]
                at = end
        except amqp.InvalidFrameError as wrong:
            self._break(wrong)
            return
        except (struct.error, IndexError):
            self._break(amqp.InvalidFrameError("a frame is shorter than its content"))
            return
        self._rest = data[at:] if at < size else b""
        if other or (taken and self._time() > self._passed_on + ALIVE_SECONDS):
            # The driver closes a connection that is silent, and it does not see the frames that are taken out here.
            self._passed_on = self._time()
            super().feed_data(other or ALIVE)

    def feed_eof(self) -> None:
        """Called twice, by a peer that ends its side and when the connection is lost."""
        rest, self._rest = self._rest, b""
        if rest and not self._broken:
            super().feed_data(rest)
        super().feed_eof()

    def _require_negotiated(self, size: int) -> None:
        limit, tune = MAX_FRAME, getattr(self._connection, "connection_tune", None)
        if tune is not None:
            limit = self._max_frame = tune.frame_max + NOTES if tune.frame_max else MAX_BODY  # 0: without a limit
        if size > limit:
            raise amqp.InvalidFrameError(f"a frame of {size} bytes is over the limit of {limit}")

    def _break(self, wrong: amqp.InvalidFrameError) -> None:
        """Make the driver end the connection with this error."""
        self._broken, self._rest = True, b""
        self._contents.clear()
        self.set_exception(wrong)

    def _take(self, kind: int, number: int, data: bytes, at: int, stop: int) -> int:
        """Handle the frame with its content between `at` and `stop`, and the rest of its message if that is there.

        Returns the end of the last frame that it has handled, 0 for a frame of the driver.
        """
        if data[stop] != END:
            raise amqp.InvalidFrameError(f"a frame of type {kind} does not end where it should")
        content = self._contents.get(number)
        taken = False
        if content is not None:
            taken = self._part(content, kind, number, data[at:stop])
        elif kind == METHOD:
            index = data[at : at + 4]
            if index == DELIVER:
                return self._delivery(number, data, at + 4, stop)
            if index in _RESULTS:
                taken = self._confirm(number, _RESULTS[index], *_CONFIRM.unpack(data[at + 4 : stop]))
            elif index == RETURN:
                taken = self._return(number)
        elif kind not in (HEADER, BODY, HEARTBEAT):
            raise amqp.InvalidFrameError(f"a frame has the unknown type {kind}")
        return stop + 1 if taken else 0

    def _part(self, content: _Content, kind: int, number: int, part: bytes) -> bool:
        if kind == HEADER and content.properties is None:
            content.left = _CONTENT.unpack_from(part)[2]
            if content.left > MAX_BODY:
                raise amqp.InvalidFrameError(f"a body of {content.left} bytes is over the limit of {MAX_BODY}")
            if content.limit is not None and content.left > content.limit:
                content.discarded = Discarded(content.left)
            content.properties = RawProperties(part[12:])
        elif kind == BODY and content.properties is not None and len(part) <= content.left:
            content.left -= len(part)
            if content.discarded is not None:
                content.discarded.add(part)
            elif content.finish is not None and part:
                content.parts.append(part)
        else:
            raise amqp.InvalidFrameError(f"a frame of type {kind} in the middle of a message")
        if not content.left:
            del self._contents[number]
            if content.finish is not None:
                parts = content.parts
                body = parts[0] if len(parts) == 1 else b"".join(parts)
                content.finish(*content.arguments, content.properties, body, content.discarded)
        return True

    # Deliveries

    def _delivery(self, number: int, data: bytes, at: int, stop: int) -> int:
        """Receive the delivery whose arguments lie between `at` and `stop`, with its header and body if they are there.

        Returns the end of the last frame that it has taken, 0 for a delivery to a consumer of the driver.
        """
        channel = self._channels.get(number)
        end = at + 1 + data[at]
        if end + 11 > stop:
            raise IndexError
        consumer = None if channel is None else channel.consumers.get(data[at + 1 : end].decode(errors="replace"))
        if type(consumer) is not Subscription:
            if consumer is not None:
                return 0
            self._contents[number] = _Content(None)  # its channel or subscription has ended
            return stop + 1
        tag, redelivered = _DELIVERY.unpack_from(data, end)
        start = end + 10
        end = start + data[start - 1]
        if end + 1 + data[end] != stop:
            raise IndexError
        exchange = data[start:end].decode(errors="backslashreplace")
        key = data[end + 1 : stop].decode(errors="backslashreplace")
        body = self._single_body(number, data, stop + 1, consumer.limit)
        if body:
            properties = RawProperties(data[stop + 20 : body.start - 8])
            consumer.receive(Received(tag, redelivered & 1 == 1, exchange, key, properties, data[body]))
            return int(body.stop) + 1
        self._contents[number] = _Content(
            self._deliver, consumer.receive, tag, redelivered & 1 == 1, exchange, key, limit=consumer.limit
        )
        return stop + 1

    def _single_body(self, number: int, data: bytes, head: int, limit: int | None) -> slice | None:
        """Return the place of a body if the header frame at `head` and one frame with the whole body have arrived."""
        if len(data) < head + 27:
            return None
        kind, header_number, length, _, _, size = _HEADER.unpack_from(data, head)
        start = head + 15 + length
        if (
            kind != HEADER
            or header_number != number
            or length < 14  # class, weight, size and the flags of the properties
            or not 0 < size <= self._max_frame
            or (limit is not None and size > limit)
            or len(data) <= start + size
            or _FRAME.unpack_from(data, start - 7) != (BODY, number, size)
            or data[start - 8] != END
            or data[start + size] != END
        ):
            return None
        return slice(start, start + size)

    @staticmethod
    def _deliver(receive: Callable[[Received], None], *message: Any) -> None:
        receive(Received(*message))

    # Confirms

    def _confirm(self, number: int, result: PublishResult, tag: int, bits: int) -> bool:
        channel = self._channels.get(number)
        if channel is None:
            return False
        waiting = channel.confirmations
        tags = [tag] if not bits & 1 else list(takewhile(lambda each: each <= tag, waiting))
        if not tags or type(waiting.get(tags[0])) is not PendingConfirm:
            return False
        for each in tags:
            waiting.pop(each).settle(result)
        return True

    def _return(self, number: int) -> bool:
        channel = self._channels.get(number)
        waiting = {} if channel is None else channel.confirmations
        if type(next(iter(waiting.values()), None)) is not PendingConfirm:
            return False
        self._contents[number] = _Content(self._returned, channel)
        return True

    @staticmethod
    def _returned(channel: Any, properties: RawProperties, *_: Any) -> None:
        answer = channel.confirmations.get(channel.message_id_delivery_tag.get(message_key(properties)))
        # The confirm follows. A message without a known id stands for every message that it may be.
        for each in [answer] if answer is not None else channel.confirmations.values():
            each.settle(PublishResult.RETURNED)


class FrameTransport(TransportFactory):
    """Opens the socket of the driver, with a FrameReader as the stream."""

    connection: aiormq.Connection

    async def create(self, url: URL, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        contexts = options.pop("ssl_context_provider")
        tls = await contexts.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = FrameReader(self.connection, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, url.host or "", url.port or 0, ssl=tls, **options
            )
        except OSError as error:
            raise amqp.AMQPConnectionError(*error.args) from error
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def driver(url: URL | str, context: ssl.SSLContext | None, **options: Any) -> aiormq.Connection:
    """Return an unopened connection of the driver that reads through a FrameReader. `context` is for amqps://."""
    transport = FrameTransport()
    transport.connection = aiormq.Connection(url, context=context, transport_factory=transport, **options)
    return transport.connection
