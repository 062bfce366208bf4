"""Publishing with confirms and returns, many messages in flight at once."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum, auto
from typing import cast

import aiormq
import aiormq.abc
import aiormq.channel
import msgspec
from aiormq import exceptions as amqp
from aiormq import spec

from services.shared.contracts import CONTENT_TYPE
from services.shared.messaging.connection import BrokerAddress, close, connect, translated
from services.shared.messaging.errors import BrokerUnavailable

CONFIRM_TIMEOUT = 30.0  # seconds


class Message(msgspec.Struct, frozen=True):
    """One event on its way to one exchange. The AMQP properties repeat what brokers and tools read."""

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


class Outcome(Enum):
    CONFIRMED = auto()
    """The broker has it safe, in at least one queue."""
    RETURNED = auto()
    """No queue took it. It is gone at the broker: the sender must keep it."""
    REFUSED = auto()
    """A queue is full or could not store it. The sender must keep it."""


class Publisher:
    """Publishes over one connection of its own, opened at the first use and after each loss.

    Safe for one caller at a time: the order of publishing is the caller's order.
    """

    def __init__(self, address: BrokerAddress, name: str) -> None:
        self._address = address
        self._name = name
        self._connection: aiormq.abc.AbstractConnection | None = None
        self._channel: aiormq.channel.Channel | None = None
        self._user = ""

    async def publish(self, messages: Sequence[Message]) -> list[Outcome]:
        """Publish all and wait until the broker has answered for each. Results stand in the messages' order.

        Raises BrokerUnavailable when the connection is lost on the way: each message may or may not have
        arrived. Waits without limit while the broker blocks publishers (memory or disk alarm); otherwise an
        answer that takes longer than CONFIRM_TIMEOUT counts as a lost connection.
        """
        channel = await self._open()
        confirms = [asyncio.create_task(self._publish(channel, message)) for message in messages]
        try:
            with translated(self._address):
                return await self._answers(confirms)
        except BaseException:
            for confirm in confirms:
                confirm.cancel()
            await asyncio.gather(*confirms, return_exceptions=True)
            await self.close()
            raise

    async def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            await close(connection)

    async def blocked(self) -> bool:
        """Whether the broker has told us that it takes no messages at the moment."""
        if self._connection is None:
            return False
        try:
            async with asyncio.timeout(0.01):
                await self._connection.ready()
        except TimeoutError:
            return True
        return False

    async def _answers(self, confirms: "list[asyncio.Task[Outcome]]") -> list[Outcome]:
        pending: set[asyncio.Task[Outcome]] = set(confirms)
        while pending:
            done, pending = await asyncio.wait(pending, timeout=CONFIRM_TIMEOUT)
            if not done and not await self.blocked():
                raise BrokerUnavailable(f"no confirm within {CONFIRM_TIMEOUT:.0f} s from {self._address.url}")
        return [confirm.result() for confirm in confirms]

    async def _open(self) -> aiormq.channel.Channel:
        if self._channel is not None and not self._channel.is_closed:
            return self._channel
        await self.close()
        self._connection = await connect(self._address, f"{self._name} publisher")
        self._user = self._address.username
        with translated(self._address):
            async with asyncio.timeout(CONFIRM_TIMEOUT):
                channel = await self._connection.channel(on_return_raises=True)
        # The driver's abstract type lacks `wait`, which is what lets publishes share a wait.
        self._channel = cast(aiormq.channel.Channel, channel)
        return self._channel

    async def _publish(self, channel: aiormq.channel.Channel, message: Message) -> Outcome:
        properties = spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            message_id=message.message_id,
            correlation_id=message.correlation_id,
            message_type=message.routing_key,
            timestamp=_whole_second(message.timestamp),
            user_id=self._user,
            app_id=self._name,
            priority=message.priority,
            expiration=None if message.expires_ms is None else str(message.expires_ms),
            headers={} if message.traceparent is None else {"traceparent": message.traceparent},
        )
        try:
            await channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=properties,
                mandatory=True,
                wait=False,
            )
        except amqp.PublishError:
            return Outcome.RETURNED
        except amqp.DeliveryError:
            return Outcome.REFUSED
        return Outcome.CONFIRMED


def _whole_second(timestamp: float) -> datetime:
    return datetime.fromtimestamp(int(timestamp), UTC)
