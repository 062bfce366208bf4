"""Publishes many messages at once, with confirms and returns."""

import asyncio
import time
from collections.abc import Sequence

import aiormq.channel
import msgspec
from aiormq import spec

from warren_messaging.amqp import field_table
from warren_messaging.amqp.connection import (
    RELOAD_SECONDS,
    AmqpConnection,
    BrokerAddress,
    connect,
    driver_channel,
    wrap_driver_errors,
)
from warren_messaging.amqp.pipeline import PublishBatch, PublishFrame, PublishResult, forget, send
from warren_messaging.errors import BrokerUnavailable
from warren_messaging.events import CONTENT_TYPE

CONFIRM_TIMEOUT = 30.0  # seconds


class Message(msgspec.Struct, frozen=True, gc=False):
    """One event for one exchange. The AMQP properties repeat the attributes that brokers and tools read."""

    exchange: str
    routing_key: str
    body: bytes
    message_id: str
    correlation_id: str
    timestamp: float
    """Unix seconds."""
    priority: int | None = None
    expires_ms: int | None = None
    traceparent: str | None = None


class Publisher:
    """Publishes over its own connection, which it opens at the first use, after each loss and for new credentials.

    Safe for one caller at a time, whose order is the order of publishing.
    """

    def __init__(self, address: BrokerAddress, name: str) -> None:
        self._address = address
        self._name = name
        self._connection: AmqpConnection | None = None
        self._channel: aiormq.channel.Channel | None = None
        self._user = ""
        self._tails: dict[str, bytes] = {}
        self._generation = b""
        self._checked = 0.0

    async def publish(self, messages: Sequence[Message]) -> list[PublishResult]:
        """Publish all messages and wait for the broker's answer to each. Returns the results in the same order.

        Raises BrokerUnavailable when the connection is lost meanwhile: each message may or may not have arrived. Waits
        without limit while the broker blocks publishers (memory or disk alarm); otherwise an answer that takes longer
        than CONFIRM_TIMEOUT counts as a lost connection.
        """
        _, channel = await self._open()
        frames = [self._frame(message) for message in messages]
        try:
            with wrap_driver_errors(self._address):
                batch = await send(channel, frames)
                await self._answered(batch)
        except BaseException:
            await self.close()
            raise
        forget(channel, frames)
        return batch.results

    async def open(self) -> AmqpConnection:
        """Connect unless connected. Returns the connection. Raises as `connect`."""
        connection, _ = await self._open()
        return connection

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await connection.close()

    async def refresh(self) -> None:
        """Close a connection made with replaced credentials: their user may soon be deleted."""
        if self._connection is not None and self._outdated():
            await self.close()

    async def blocked(self) -> bool:
        """Whether the broker blocks publishers at the moment."""
        if self._connection is None:
            return False
        try:
            async with asyncio.timeout(0.01):
                await self._connection.driver.ready()
        except TimeoutError:
            return True
        return False

    async def _answered(self, batch: PublishBatch) -> None:
        while not batch.finished.done():
            await asyncio.wait([batch.finished], timeout=CONFIRM_TIMEOUT)
            if not batch.finished.done() and not await self.blocked():
                raise BrokerUnavailable(f"no confirm within {CONFIRM_TIMEOUT:.0f} s from {self._address.location}")
        batch.finished.result()

    async def _open(self) -> tuple[AmqpConnection, aiormq.channel.Channel]:
        connection, channel = self._connection, self._channel
        if connection is not None and channel is not None and not channel.is_closed and not self._outdated():
            return connection, channel
        await self.close()
        self._generation, self._checked = self._address.credentials_fingerprint(), time.monotonic()
        connection = self._connection = await connect(self._address, f"{self._name} publisher")
        self._user = connection.url.user or ""  # the files may name the next user already
        self._tails.clear()
        with wrap_driver_errors(self._address):
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                channel = self._channel = await driver_channel(await connection.channel(on_return_raises=True))
        return connection, channel

    def _outdated(self) -> bool:
        if time.monotonic() < self._checked + RELOAD_SECONDS:
            return False
        self._checked = time.monotonic()
        return self._address.credentials_fingerprint() != self._generation

    def _frame(self, message: Message) -> PublishFrame:
        key = message.routing_key
        tail = self._tails.get(key)
        if tail is None:
            tail = self._tails[key] = b"".join(map(_shortstr, (key, self._user, self._name)))
        properties = properties_of(message, tail)
        return PublishFrame(message.exchange, key, message.body, properties, message.message_id)


# The fields of a header frame in the order of AMQP; optional fields add their flags.
_ALWAYS = sum(
    spec.Basic.Properties.flags[name]
    for name in (
        "content_type", "delivery_mode", "correlation_id", "message_id", "timestamp", "message_type", "user_id",
        "app_id",
    )
)  # fmt: skip
_HEADERS, _PRIORITY, _EXPIRATION = (spec.Basic.Properties.flags[name] for name in ("headers", "priority", "expiration"))
_PERSISTENT = b"\x02"


def _shortstr(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes() + data


_CONTENT_TYPE = _shortstr(CONTENT_TYPE)


def properties_of(message: Message, tail: bytes) -> bytes:
    """Encode the properties. `tail` holds the fields that messages of one type share: type, user and application."""
    flags, headers, priority, expiration = _ALWAYS, b"", b"", b""
    if message.traceparent is not None:
        flags |= _HEADERS
        table = field_table.encoded(b"traceparent", message.traceparent)
        headers = len(table).to_bytes(4) + table
    if message.priority is not None:
        flags |= _PRIORITY
        priority = message.priority.to_bytes()
    if message.expires_ms is not None:
        flags |= _EXPIRATION
        expiration = _shortstr(str(message.expires_ms))
    return b"".join((
        flags.to_bytes(2), _CONTENT_TYPE, headers, _PERSISTENT, priority, _shortstr(message.correlation_id),
        expiration, _shortstr(message.message_id), int(message.timestamp).to_bytes(8), tail,
    ))  # fmt: skip
