"""Consumes one queue in one process: prefetch, batches, settlement, reconnect, pause, drain.

Deliveries wait while a batch is processed, and the next batch takes all that wait. Under load the consumer lets a batch
grow for a moment, since a transaction for a hundred deliveries costs little more than one for four; a single message
is processed at once. Every delivery is acknowledged or rejected explicitly, after its verdict. A session ends when its
connection, channel or subscription ends, and the next session starts from nothing, so no subscription is left behind.
"""

import asyncio
import contextlib
import random
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from warren_messaging.amqp.connection import (
    RELOAD_SECONDS,
    AmqpConnection,
    BrokerAddress,
    driver_channel,
    opened,
    wrap_driver_errors,
)
from warren_messaging.amqp.received import Received, consume
from warren_messaging.codec import MAX_BODY, too_large
from warren_messaging.consumer.processor import Processor
from warren_messaging.consumer.settlement import Settlement
from warren_messaging.dead_letters.parked_message import COUNT_HEADER, replays
from warren_messaging.delivery import Delivery
from warren_messaging.errors import (
    BrokerUnavailable,
    DownstreamUnavailable,
    Unavailable,
    UndecodableProperties,
)
from warren_messaging.postgres.database import Database
from warren_messaging.telemetry import Telemetry

BUSY_BATCH = 4  # messages; from this size on a batch is a sign of load
GATHERING_SECONDS = 0.025  # how long a busy consumer lets the next batch grow
RPC_TIMEOUT = 10.0  # seconds, for each answer of the broker


class ConsumerSettings(msgspec.Struct, frozen=True):
    """What a consumer takes from its queue, and how much at a time."""

    queue: str
    prefetch: int = 200
    """Deliveries that the broker sends ahead: twice a batch keeps the next batch ready."""
    batch: int = 100
    """Maximum number of messages in a transaction."""
    max_pause_seconds: float = 5.0
    """Longest pause between two attempts to reach an unavailable server."""


class Consumer:
    """Consumes one queue: run `run()` as a task; `stop()` drains it.

    A message is acknowledged after its effect is committed. Those that are not settled when a session ends return to
    the queue, and do not count as failed.
    """

    def __init__(
        self,
        address: BrokerAddress,
        database: Database,
        processor: Processor[Any],
        settings: ConsumerSettings,
        telemetry: Telemetry,
    ) -> None:
        self._address = address
        self._database = database
        self._processor = processor
        self._settings = settings
        self._telemetry = telemetry
        self._stopping = asyncio.Event()
        self._subscribed: _Session | None = None
        self._downstream: DownstreamUnavailable | None = None
        """Why the consumer takes no messages, though database and broker are available."""

    @property
    def consuming(self) -> bool:
        """Whether this process has a subscription at the moment."""
        return self._subscribed is not None

    @property
    def in_progress(self) -> int:
        """Number of deliveries that are being processed, or whose verdict is not sent yet."""
        return 0 if self._subscribed is None else self._subscribed.in_progress

    async def require_consuming(self) -> None:
        """Raises BrokerUnavailable unless this process has a subscription, or has ended it for an external system.

        Returns after an answer of the broker on the subscription's channel. It may take long, until missed heartbeats
        end the connection: limit the time and cancel the call.
        """
        if self._subscribed is not None:
            with wrap_driver_errors(self._address):
                await self._subscribed.require_answer()
        elif self._downstream is None:
            raise BrokerUnavailable("no subscription at the broker")

    def stop(self) -> None:
        """Take no further messages. `run` returns when those in progress are settled."""
        self._stopping.set()

    async def run(self) -> None:
        """Consume until `stop`, reconnecting after each loss.

        Raises ConfigurationError when the first session shows that none can work.
        """
        pause = 0.1
        consumed_before = False
        while not self._stopping.is_set():
            self._downstream = None
            try:
                await self._session()
            except Unavailable as error:
                self._telemetry.status(self._settings.queue, f"paused: {error}")
                self._downstream = error if isinstance(error, DownstreamUnavailable) else None
            except Exception as error:
                if not consumed_before and not self.consuming:
                    raise
                self._telemetry.status(self._settings.queue, f"paused: {error!r}")
            finally:
                consumed_before, was_consuming = consumed_before or self.consuming, self.consuming
                self._subscribed = None
            pause = 0.1 if was_consuming else min(pause * 2, self._settings.max_pause_seconds)
            seconds = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects
            if self._downstream is not None:
                seconds = max(seconds, self._downstream.seconds_left)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()

    async def _session(self) -> None:
        # A message that could not be processed is not taken: the database must answer first.
        await self._database.probe()
        fingerprint = self._address.credentials_fingerprint()
        async with opened(self._address, self._settings.queue) as connection:
            session = _Session(connection, self._processor, self._settings, self._stopping)
            await session.open()
            self._subscribed = session
            self._telemetry.connected(self._settings.queue, connection.certificate.expires_at)
            self._telemetry.status(self._settings.queue, "consuming", degraded=False)
            await session.run(until=lambda: self._address.credentials_fingerprint() != fingerprint)


class _Session:
    """One subscription, from basic.consume to the last settlement."""

    def __init__(
        self,
        connection: AmqpConnection,
        processor: Processor[Any],
        settings: ConsumerSettings,
        stopping: asyncio.Event,
    ) -> None:
        self._connection = connection
        self._processor = processor
        self._settings = settings
        self._stopping = stopping
        self._waiting: deque[Delivery] = deque()
        self._wake = asyncio.Event()
        self._leaving = False
        self._last_batch = 0
        self._ended: str | None = None
        self._unavailable: Unavailable | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._answer: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        self._processor.resume()
        async with asyncio.timeout(RPC_TIMEOUT):
            channel = await self._connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=self._settings.prefetch)
            # Passive: only asks whether the queue exists, which needs no permission to configure.
            await channel.declare_queue(self._settings.queue, passive=True)
            # Deliveries and settlements bypass aio-pika, which makes several objects for each.
            self._channel = await driver_channel(channel)
            self._settlement = Settlement(self._channel)
            self._channel.on_consumer_cancel_callbacks.add(lambda _: self._end("the broker ended the subscription"))
            # A tag of its own: the broker may still hold the one of a session that it ended.
            self._tag = f"{self._settings.queue}-{uuid.uuid4().hex[:8]}"
            await consume(self._channel, self._settings.queue, self._on_message, tag=self._tag, limit=MAX_BODY)
        self._channel.closing.add_done_callback(lambda _: self._end("the channel ended"))
        self._connection.driver.closing.add_done_callback(lambda _: self._end("the connection ended"))

    @property
    def in_progress(self) -> int:
        return self._settlement.unsettled - len(self._waiting)

    async def run(self, until: Callable[[], bool]) -> None:
        """Consume until stopped, disconnected, or `until` (called every RELOAD_SECONDS) returns true.

        Deliveries that are not settled in the end return to the queue uncounted.
        """
        stopped = asyncio.create_task(self._stopping.wait())
        watching = asyncio.create_task(self._watch(until))
        stopped.add_done_callback(lambda _: self._leave())
        try:
            while self._active:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting and self._active:
                    if self._last_batch >= BUSY_BATCH and len(self._waiting) < self._settings.batch:
                        await asyncio.sleep(GATHERING_SECONDS)
                    await self._next_batch()
            await self._finish()
        finally:
            stopped.cancel()
            watching.cancel()
            if self._answer is not None:
                self._answer.cancel()
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def require_answer(self) -> None:
        """Return when the broker has answered on the channel: a connection may be half-open.

        All callers share one request. It continues without them, since the driver closes a channel whose request is
        cancelled.
        """
        if self._answer is None or self._answer.done():
            # Changes nothing: it sets the limit that the channel has already.
            request = self._channel.basic_qos(prefetch_count=self._settings.prefetch)
            self._answer = asyncio.create_task(request)
            self._answer.add_done_callback(lambda task: task.cancelled() or task.exception())  # also without a caller
        await asyncio.shield(self._answer)

    @property
    def _active(self) -> bool:
        return self._ended is None and self._unavailable is None and not self._leaving

    async def _watch(self, until: Callable[[], bool]) -> None:
        while not until():  # noqa: ASYNC110 - files announce nothing
            await asyncio.sleep(RELOAD_SECONDS)
        self._leave()

    def _leave(self) -> None:
        self._leaving = True
        self._processor.interrupt()
        self._wake.set()

    async def _next_batch(self) -> None:
        size = self._last_batch = min(len(self._waiting), self._settings.batch)
        batch = [self._waiting.popleft() for _ in range(size)]
        if self._processor.has_effects:
            # Slow calls overlap with the batches after them; prefetch limits how many are in progress.
            task = asyncio.create_task(self._process(batch))
            self._running.add(task)
            task.add_done_callback(self._done)
            await asyncio.sleep(0)
        else:
            await self._process(batch)

    async def _process(self, batch: list[Delivery]) -> None:
        try:
            await self._processor.process(batch, self._settlement.note)
        except* Unavailable as group:
            self._unavailable = next(error for error in _leaves(group) if isinstance(error, Unavailable))
            self._wake.set()
        await self._flush()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(f"processing failed: {error!r}")

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(RPC_TIMEOUT):
                await self._settlement.flush()
        except TimeoutError:
            self._end("the broker did not accept a settlement in time")

    async def _finish(self) -> None:
        # Calls in progress get their verdicts, unless these could not be stored.
        if self._unavailable is None or isinstance(self._unavailable, DownstreamUnavailable):
            await asyncio.gather(*self._running)
        if self._ended is not None:
            raise BrokerUnavailable(self._ended)
        # A channel holds settlements back while a quorum queue has not applied 32 earlier ones, and drops them when it
        # closes. The broker confirms the end of a subscription only when the queue has applied all of its settlements.
        await self._flush()
        async with asyncio.timeout(RPC_TIMEOUT):
            await self._channel.basic_cancel(self._tag)
            await self._settlement.release_rest()
        if self._unavailable is not None:
            raise self._unavailable

    def _on_message(self, message: Received) -> None:
        self._settlement.expect(message.tag)
        self._waiting.append(_delivery(message, self._settings.queue))
        self._wake.set()

    def _end(self, why: str) -> None:
        self._ended = self._ended or why
        self._wake.set()


def _delivery(message: Received, queue: str) -> Delivery:
    """Read the properties that a consumer needs. `defect` is the reason if that fails, or if the body is too large."""
    user: str | None = None
    count, defect = 0, None
    try:
        user = message.properties.text("user_id")
        if message.properties.raw("headers"):
            count = replays({COUNT_HEADER: message.properties.header(COUNT_HEADER)})
    except UndecodableProperties as error:
        defect = str(error)
    if message.discarded is not None:
        defect = too_large(message.discarded.size)
    return Delivery(
        tag=message.tag,
        body=message.body,
        user_id=user,
        returned=message.redelivered,
        replays=count,
        exchange=message.exchange,
        routing_key=message.routing_key,
        queue=queue,
        defect=defect,
        body_hash=None if message.discarded is None else message.discarded.body_hash,
        properties=message.properties,
    )


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return leaves
