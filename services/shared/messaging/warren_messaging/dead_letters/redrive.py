"""Publishes parked messages to the queue that parked them, through `redrive.exchange`."""

import asyncio
from collections.abc import Iterable, Sequence

import aiormq.channel
import msgspec

from warren_messaging.amqp.connection import AmqpConnection, BrokerAddress, driver_channel, wrap_driver_errors
from warren_messaging.amqp.pipeline import PublishFrame, PublishResult, forget, send
from warren_messaging.amqp.spans import PublishSpans
from warren_messaging.dead_letters.parked_message import ParkedMessage
from warren_messaging.errors import BrokerUnavailable, MessagingError, UndecodableProperties
from warren_messaging.sender import REDRIVE_EXCHANGE as EXCHANGE

CONFIRM_TIMEOUT = 30.0  # seconds
HEADER_BYTES = 12  # of a header frame before the properties


class PropertiesNotPublishable(MessagingError):
    """The properties of a message cannot be encoded for publishing; it stays parked."""


class RedriveCopy(msgspec.Struct, frozen=True, eq=False):
    """One message for one queue."""

    parked: ParkedMessage
    queue: str


class Redrive:
    """Republishes parked messages.

    Needs a connection of its own: under an alarm the broker stops reading from connections that publish, and the
    acknowledgements of parked messages must not wait for that.
    """

    def __init__(self, connection: AmqpConnection, address: BrokerAddress, run: str) -> None:
        self._connection = connection
        self._address = address
        self._run = run
        self._channel: aiormq.channel.Channel | None = None

    async def publish(self, copies: Sequence[RedriveCopy]) -> list[PublishResult | PropertiesNotPublishable]:
        """Publish all copies with the flag `mandatory` and wait for their confirms. Returns results in the same order.

        Raises AccessRefused, TopologyMissing (no redrive.exchange) or BrokerUnavailable; after that each copy may or
        may not have arrived.
        """
        results: dict[int, PublishResult | PropertiesNotPublishable] = {}
        remaining: dict[int, PublishFrame] = {}
        max_payload, user = (await self._opened()).max_content_size, self._connection.url.user or ""
        with PublishSpans() as spans:
            for index, copy in enumerate(copies):
                parked = copy.parked
                header = spans.start(
                    EXCHANGE, copy.queue, parked.traceparent, parked.id, parked.properties.correlation_id
                )
                try:
                    changed = None if header is parked.traceparent else header
                    remaining[index] = _frame(copy, self._run, user, max_payload, changed)
                except PropertiesNotPublishable as error:
                    results[index] = error
            while remaining:
                # A return is matched by its message id, so copies with the same id are published one after another.
                next_by_id = {frame.message_key: index for index, frame in reversed(remaining.items())}
                frames = {index: remaining.pop(index) for index in sorted(next_by_id.values())}
                results.update(zip(frames, await self._send(list(frames.values())), strict=True))
            ordered = [results[index] for index in range(len(copies))]
            spans.end(ordered)
        return ordered

    async def _opened(self) -> aiormq.channel.Channel:
        if self._channel is None:
            with wrap_driver_errors(self._address):
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    self._channel = await driver_channel(await self._connection.channel(on_return_raises=True))
        return self._channel

    async def _send(self, frames: list[PublishFrame]) -> Iterable[PublishResult]:
        channel = await self._opened()
        with wrap_driver_errors(self._address):
            batch = await send(channel, frames)
            done, _ = await asyncio.wait([batch.finished], timeout=CONFIRM_TIMEOUT)
            if not done:
                raise BrokerUnavailable(
                    f"no confirm within {CONFIRM_TIMEOUT:.0f} s from {self._address.location}: an alarm (memory or"
                    " disk) may be blocking all publishers. Messages without a confirm stay parked."
                )
            batch.finished.result()
        forget(channel, frames)
        return batch.results


def _frame(copy: RedriveCopy, run: str, user: str, max_payload: int, traceparent: str | None) -> PublishFrame:
    """Encode a copy. `max_payload` is the maximum payload of a frame: properties cannot be split into two frames."""
    try:
        properties = copy.parked.properties_for_redrive(run, user, traceparent)
    except UndecodableProperties as error:
        raise PropertiesNotPublishable(f"its properties cannot be encoded for publishing: {error}") from error
    if len(properties.data) + HEADER_BYTES > max_payload:
        raise PropertiesNotPublishable(
            f"its properties have {len(properties.data)} bytes: too many to be published in one frame"
        )
    return PublishFrame.of(EXCHANGE, copy.queue, copy.parked.body, properties)
