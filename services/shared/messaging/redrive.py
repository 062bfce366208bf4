"""Publishing parked messages back to the queue that gave them up, through `redrive.exchange`."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import cast

import aiormq.abc
import aiormq.channel
import msgspec
import pamqp.frame
from pamqp.header import ContentHeader

from services.shared.messaging.connection import BrokerAddress, translated
from services.shared.messaging.errors import BrokerUnavailable, MessagingError
from services.shared.messaging.parked import Parked
from services.shared.messaging.pipeline import Frame, Outcome, forget, send
from services.shared.messaging.sender import REDRIVE_EXCHANGE as EXCHANGE

CONFIRM_TIMEOUT = 30.0  # seconds


class Unwritable(MessagingError):
    """A message carries headers that can be read but not written again; it stays where it is."""


class Copy(msgspec.Struct, frozen=True, eq=False):
    """One message on its way to one queue."""

    parked: Parked
    queue: str


class Redrive:
    """Publishes on a connection of its own: the broker may stop reading from those that publish, and an
    acknowledgement must not wait behind that."""

    def __init__(self, connection: aiormq.abc.AbstractConnection, address: BrokerAddress, run: str) -> None:
        self._connection = connection
        self._address = address
        self._run = run
        self._channel: aiormq.channel.Channel | None = None

    async def publish(self, copies: Sequence[Copy]) -> list[Outcome | Unwritable]:
        """Publish all, mandatory, and wait for the broker's answer to each; answers stand in the copies' order.

        Raises AccessRefused, TopologyMissing (no redrive.exchange) or BrokerUnavailable; after that each copy may or
        may not have arrived.
        """
        answers: dict[int, Outcome | Unwritable] = {}
        waiting = dict(enumerate(copies))
        while waiting:
            # A return is told apart by its message id alone, so copies that share one take turns.
            ids: set[str] = set()
            frames: dict[int, Frame] = {}
            for index, copy in list(waiting.items()):
                if copy.parked.message_id in ids:
                    continue
                ids.add(copy.parked.message_id)
                del waiting[index]
                try:
                    frames[index] = self._frame(copy)
                except Unwritable as error:
                    answers[index] = error
            answers.update(zip(frames, await self._send(list(frames.values())), strict=True))
        return [answers[index] for index in range(len(copies))]

    def _frame(self, copy: Copy) -> Frame:
        properties = copy.parked.revived(self._run)
        properties.user_id = self._connection.url.user
        try:
            pamqp.frame.marshal(ContentHeader(body_size=len(copy.parked.body), properties=properties), 1)
        except (TypeError, ValueError, OverflowError) as error:
            raise Unwritable(f"its headers cannot be written again: {error}") from error
        return Frame(EXCHANGE, copy.queue, copy.parked.body, properties)

    async def _send(self, frames: list[Frame]) -> Iterable[Outcome]:
        if not frames:
            return []
        with translated(self._address):
            if self._channel is None:
                async with asyncio.timeout(CONFIRM_TIMEOUT):
                    # The abstract type lacks what a pipeline needs.
                    channel = await self._connection.channel(on_return_raises=True)
                    self._channel = cast(aiormq.channel.Channel, channel)
            batch = await send(self._channel, frames)
            done, _ = await asyncio.wait([batch.finished], timeout=CONFIRM_TIMEOUT)
            if not done:
                raise BrokerUnavailable(
                    f"no confirm within {CONFIRM_TIMEOUT:.0f} s from {self._address.url}: an alarm (memory or disk)"
                    " may be stopping all publishers. What is not confirmed stays parked."
                )
            batch.finished.result()
        forget(self._channel, frames)
        return batch.outcomes
