"""A broker in the test process: answers the driver's calls and sends the bytes that a test gives it."""

import asyncio
from typing import Any

import aiormq
import pamqp.frame
from aiormq import spec
from aiormq.connection import TransportFactory
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from warren_messaging.amqp.frames import FrameReader
from warren_messaging.amqp.properties import RawProperties

MAX_FRAME = 16_384
HEARTBEAT = pamqp.frame.marshal(Heartbeat(), 0)


class FakeBroker(TransportFactory):
    """Both directions of a connection. The driver reads from the library's FrameReader or from a plain StreamReader."""

    connection: aiormq.Connection
    transport = None

    def __init__(self, *, library_reader: bool = True) -> None:
        self._library_reader = library_reader
        self._written = b""
        self._closing = False

    async def create(self, url: Any, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        self.reader = FrameReader(self.connection, loop) if self._library_reader else asyncio.StreamReader(loop=loop)
        return self.reader, self  # type: ignore[return-value]

    def send(self, *frames: Any, channel: int = 0) -> None:
        self.reader.feed_data(b"".join(pamqp.frame.marshal(frame, channel) for frame in frames))

    # The part of StreamWriter that the driver uses

    def write(self, data: bytes) -> None:
        self._written += data
        if self._written.startswith(b"AMQP"):
            self._written = self._written[8:]
            capabilities = {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True}
            properties: Any = {"version": "4.3.6", "capabilities": capabilities}
            self.send(spec.Connection.Start(server_properties=properties, mechanisms="PLAIN"))
        while len(self._written) >= 8 and len(self._written) >= int.from_bytes(self._written[3:7]) + 8:
            size, channel, frame = pamqp.frame.unmarshal(self._written)
            self._written = self._written[size:]
            self._answer(channel, frame)

    async def drain(self) -> None:
        pass

    async def wait_closed(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self.reader.feed_eof()

    def _answer(self, channel: int, frame: Any) -> None:
        match frame:
            case spec.Connection.StartOk():
                self.send(spec.Connection.Tune(channel_max=10, frame_max=MAX_FRAME, heartbeat=60))
            case spec.Connection.Open():
                self.send(spec.Connection.OpenOk())
            case spec.Connection.Close():
                self.send(spec.Connection.CloseOk())
            case spec.Channel.Open():
                self.send(spec.Channel.OpenOk(), channel=channel)
            case spec.Channel.Close():
                self.send(spec.Channel.CloseOk(), channel=channel)
            case spec.Confirm.Select():
                self.send(spec.Confirm.SelectOk(), channel=channel)
            case spec.Basic.Consume():
                self.send(spec.Basic.ConsumeOk(consumer_tag=frame.consumer_tag), channel=channel)


async def connect(broker: FakeBroker) -> aiormq.Connection:
    broker.connection = aiormq.Connection("amqp://guest:guest@broker/", transport_factory=broker)
    await broker.connection.connect()
    return broker.connection


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return bytes((kind,)) + channel.to_bytes(2) + len(payload).to_bytes(4) + payload + b"\xce"


def content(channel: int, method: Any, properties: RawProperties, parts: list[bytes]) -> bytes:
    """A delivery or return as the broker writes it, with its body in these parts."""
    header = ContentHeader(body_size=sum(map(len, parts))).marshal()[:12] + properties.data
    return b"".join(
        [
            pamqp.frame.marshal(method, channel),
            frame(2, channel, header),
            *(frame(3, channel, part) for part in parts),
        ]
    )
