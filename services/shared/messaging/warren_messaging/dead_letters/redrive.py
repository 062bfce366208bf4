"""Publishes parked messages to the queue that parked them, through `redrive.exchange`."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import cast

import aiormq.abc
import aiormq.channel
import msgspec

from warren_messaging.amqp.connection import BrokerAddress, wrap_driver_errors
from warren_messaging.amqp.pipeline import PublishFrame, PublishResult, forget, send
from warren_messaging.dead_letters.parked_message import ParkedMessage
from warren_messaging.errors import BrokerUnavailable, MessagingError, UndecodableProperties
from warren_messaging.sender import REDRIVE_EXCHANGE as EXCHANGE

CONFIRM_TIMEOUT = 30.0  # seconds
HEADER_BYTES = 12  # of a header frame before the properties


class Unwritable(MessagingError):
    """The properties of a message cannot be written again; it stays parked."""


class RedriveCopy(msgspec.Struct, frozen=True, eq=False):
    """One message for one queue."""

    parked: ParkedMessage
    queue: str


class Redrive:
    """Publishes on its own connection: the broker may stop reading from connections that publish, and acknowledgements
    must not wait for that."""

    def __init__(self, connection: aiormq.abc.AbstractConnection, address: BrokerAddress, run: str) -> None:
        self._connection = connection
        self._address = address
        self._run = run
        self._channel: aiormq.channel.Channel | None = None

    async def publish(self, copies: Sequence[RedriveCopy]) -> list[PublishResult | Unwritable]:
        """Publish all copies, mandatory, and wait for the broker's answer to each. Returns answers in the same order.

        Raises AccessRefused, TopologyMissing (no redrive.exchange) or BrokerUnavailable; after that each copy may or
        may not have arrived.
        """
        answers: dict[int, PublishResult | Unwritable] = {}
        waiting: dict[int, PublishFrame] = {}
        room, user = (await self._opened()).max_content_size, self._connection.url.user or ""
        for index, copy in enumerate(copies):
            try:
                waiting[index] = _frame(copy, self._run, user, room)
            except Unwritable as error:
                answers[index] = error
        while waiting:
            # A return is matched by its message id, so copies with the same id are published one after another.
            turn = {frame.message_key: index for index, frame in reversed(waiting.items())}
            frames = {index: waiting.pop(index) for index in sorted(turn.values())}
            answers.update(zip(frames, await self._send(list(frames.values())), strict=True))
        return [answers[index] for index in range(len(copies))]

    async def _opened(self) -> aiormq.channel.Channel:
        if self._channel is None:
            with wrap_driver_errors(self._address):
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    # The abstract type lacks the attributes that a pipeline needs.
                    self._channel = cast(aiormq.channel.Channel, await self._connection.channel(on_return_raises=True))
        return self._channel

    async def _send(self, frames: list[PublishFrame]) -> Iterable[PublishResult]:
        channel = await self._opened()
        with wrap_driver_errors(self._address):
            batch = await send(channel, frames)
            done, _ = await asyncio.wait([batch.finished], timeout=CONFIRM_TIMEOUT)
            if not done:
                raise BrokerUnavailable(
                    f"no confirm within {CONFIRM_TIMEOUT:.0f} s from {self._address.url}: an alarm (memory or disk)"
                    " may be blocking all publishers. Messages without a confirm stay parked."
                )
            batch.finished.result()
        forget(channel, frames)
        return batch.results


def _frame(copy: RedriveCopy, run: str, user: str, room: int) -> PublishFrame:
    """`room` is the maximum size of a frame: properties cannot be split into two frames."""
    try:
        properties = copy.parked.revived(run, user)
    except UndecodableProperties as error:
        raise Unwritable(f"its properties cannot be written again: {error}") from error
    if len(properties.data) + HEADER_BYTES > room:
        raise Unwritable(f"its properties have {len(properties.data)} bytes: too many to be written again")
    return PublishFrame.of(EXCHANGE, copy.queue, copy.parked.body, properties)
