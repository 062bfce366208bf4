"""python -m loadtest.consumer.probe: a service process that publishes one event for each event that it receives.

It is built like every service, with the least state that a service of the shop keeps: one row for each order, locked
and written in one statement each. It ends once it has processed and published the given number of messages, and prints
its result. Run by `python -m loadtest consumer`.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from loadtest.consumer.round import RoundResult, run_side
from services.shared.chassis import logs
from services.shared.chassis.process import ServiceProcess
from services.shared.chassis.settings import ENV_PREFIX, ProcessSettings
from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderCreated
from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.delivery import Delivery
from warren_messaging.handlers import Effect, Handlers
from warren_messaging.postgres.rate_limit import RateLimit
from warren_messaging.settings import load_settings
from warren_messaging.telemetry import Telemetry, TelemetryFanout
from warren_messaging.transaction import Connection, Transaction

SCHEMA = "CREATE TABLE tallies (order_id uuid PRIMARY KEY, events integer NOT NULL)"


class EventCounts(Transaction):
    """Counts the events of each order."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.events: dict[UUID, int] = {}

    async def load(self, events: Sequence[AnyEvent]) -> None:
        ids = sorted({event.subject for event in events})
        await self.connection.execute(
            "INSERT INTO tallies (order_id, events) SELECT unnest($1::uuid[]), 0 ON CONFLICT DO NOTHING", ids
        )
        rows = await self.connection.fetch(
            "SELECT order_id, events FROM tallies WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE", ids
        )
        self.events = {row[0]: row[1] for row in rows}

    async def save(self) -> None:
        await self.connection.execute(
            "UPDATE tallies AS t SET events = new.events FROM unnest($1::uuid[], $2::int[]) AS new (order_id, events)"
            " WHERE t.order_id = new.order_id",
            list(self.events),
            list(self.events.values()),
        )


async def on_order_created(event: Event[OrderCreated], counts: EventCounts) -> list[EventData]:
    counts.events[event.subject] += 1
    return [OrderConfirmed(customer=event.data.customer)]


async def prepare(event: Event[OrderCreated], counts: EventCounts) -> Event[OrderCreated]:
    return event


async def call_nothing(event: Event[OrderCreated]) -> None:
    """Return at once, so that the library's own work is measured."""


async def complete(
    event: Event[OrderCreated], intent: Event[OrderCreated], result: None, counts: EventCounts
) -> list[EventData]:
    return await on_order_created(event, counts)


def effect(*options: Any) -> Handlers[EventCounts]:
    return {OrderCreated: Effect(prepare, call_nothing, complete, *options)}


HANDLERS: Mapping[str, Callable[[], Handlers[EventCounts]]] = {
    "handler": lambda: {OrderCreated: on_order_created},
    "effect": effect,
    "effect-breaker": lambda: effect(CircuitBreaker("nothing")),
    "effect-breaker-limit": lambda: effect(CircuitBreaker("nothing"), RateLimit("nothing", 1e6, 1_000_000)),
}
"""Shape of the probe to its handlers."""


class LastMessageTelemetry(TelemetryFanout):
    """The telemetry of every service, which also sets an event with the last message."""

    def __init__(self, messages: int, listener: Telemetry) -> None:
        super().__init__(listener)
        self._left = messages
        self.all_processed = asyncio.Event()

    def processed(
        self, consumer: str, delivery: Delivery, event: AnyEvent, announced: list[str], seconds: float
    ) -> None:
        super().processed(consumer, delivery, event, announced, seconds)
        self._left -= 1
        if not self._left:
            self.all_processed.set()


async def measure(options: argparse.Namespace) -> RoundResult:
    settings = load_settings(ProcessSettings, ENV_PREFIX)
    logs.configure("probe", log_format=settings.log_format, level=settings.log_level)
    process = ServiceProcess("probe", settings)
    telemetry = LastMessageTelemetry(options.messages, process.telemetry)
    process.telemetry = telemetry
    process.consume("probe.queue", HANDLERS[options.shape](), EventCounts)
    wall, cpu = time.perf_counter(), time.process_time()
    stop = asyncio.Event()
    running = asyncio.create_task(process.run_until(stop))
    finished = asyncio.create_task(telemetry.all_processed.wait())
    await asyncio.wait([running, finished], return_when=asyncio.FIRST_COMPLETED)
    while process.relay.waiting and not running.done():  # noqa: ASYNC110 - the relay has no event to wait for
        await asyncio.sleep(0.002)
    result = RoundResult(options.messages, time.perf_counter() - wall, time.process_time() - cpu)
    stop.set()
    await running
    return result


if __name__ == "__main__":
    run_side("loadtest.consumer.probe", measure, list(HANDLERS))
