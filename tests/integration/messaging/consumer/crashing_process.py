"""A consumer process that kills itself at a given crash point:

    python -m tests.integration.messaging.consumer.crashing_process SETTINGS

It uses only the public API of the library; crash points are patched into the library here. SIGTERM stops it in order.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from services.shared.contracts.orders import (
    OrderCompleted,
    OrderConfirmed,
    OrderDeliveryConfirmed,
    OrderPaid,
    OrderShipped,
)
from warren_messaging import (
    BreakerState,
    CircuitBreaker,
    Effect,
    Event,
    EventData,
    Handlers,
    LogTelemetry,
    Publisher,
    RateLimit,
    RelaySettings,
    RetryPolicy,
    Service,
    ServiceSettings,
    Transaction,
    TransientError,
)
from warren_messaging.consumer.batch import BatchRunner
from warren_messaging.consumer.rate_limiter import RateLimiter
from warren_messaging.consumer.settlement import Settlement
from warren_messaging.outbox import outbox as outbox_module
from warren_messaging.postgres import rate_limit, scheduled

FAILURES = 4
"""Failed calls that open the circuit breaker."""
RATE_LIMIT = RateLimit("gateway", per_second=50, burst=1)


class CrashSettings(msgspec.Struct):
    service: ServiceSettings
    calls: Path
    """Gets a line for each call of an effect."""
    crash_point: str | None = None
    seconds: float = 0.0
    """Duration of a handler, and until a scheduled message is due."""
    unavailable: Path | None = None
    """While this file exists, each call fails."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crash_before(kind: Any, method: str, when: Callable[[Any], bool] = lambda _: True) -> None:
    """Kill the process at the first call of the method for which `when` returns true, before the call."""
    original = getattr(kind, method)

    async def wrapped(self: Any, *arguments: Any) -> Any:
        if when(self):
            die()
        return await original(self, *arguments)

    setattr(kind, method, wrapped)


def crash_after(owner: Any, function: str) -> None:
    """Kill the process after the first call of the coroutine function."""
    original = getattr(owner, function)

    async def wrapped(*arguments: Any) -> None:
        await original(*arguments)
        die()

    setattr(owner, function, wrapped)


def crash_when_paused() -> None:
    status = LogTelemetry.status

    def wrapped(self: LogTelemetry, component: str, text: str, *, degraded: bool = True) -> None:
        status(self, component, text, degraded=degraded)
        if text.startswith("paused: circuit breaker"):
            die()

    LogTelemetry.status = wrapped  # type: ignore[method-assign]


def crash_when_opening() -> None:
    LogTelemetry.circuit_breaker = lambda *_: die()  # type: ignore[method-assign]


def changes(uow: Transaction) -> bool:
    return bool(uow.announcements or uow.scheduled or uow.cancelled)


CRASH_POINTS: dict[str, Callable[[], None]] = {
    "before_commit": partial(crash_before, Transaction, "save", changes),
    "before_deleting": partial(crash_before, scheduled, "delete"),
    "after_deleting": partial(crash_after, scheduled, "delete"),
    "after_storing": partial(crash_after, outbox_module, "_store"),
    "before_publishing": partial(crash_before, Publisher, "publish"),
    "before_removing": partial(crash_after, Publisher, "publish"),
    "before_acknowledging": partial(crash_before, Settlement, "flush", lambda made: bool(made._noted)),
    "before_reserving": partial(crash_before, RateLimiter, "_reserve"),
    "after_reserving": partial(crash_after, rate_limit, "reserve"),
    "before_recording": partial(crash_before, BatchRunner, "record_failure"),
    "opening": crash_when_opening,
    "paused": crash_when_paused,
}
CRASH_AFTER_CALLING = "after_calling"
CRASH_HALF_OPEN = "half_open"


def handlers(settings: CrashSettings) -> Handlers[Transaction]:
    breaker = CircuitBreaker("gateway", failures=FAILURES, open_seconds=0.3)

    async def on_order_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        await asyncio.sleep(settings.seconds)
        await uow.connection.execute("INSERT INTO recorded VALUES ($1)", event.logicalid)
        return [OrderCompleted(customer=event.data.customer)]

    async def on_order_shipped(event: Event[OrderShipped], uow: Transaction) -> Iterable[EventData]:
        await uow.connection.execute("INSERT INTO recorded VALUES ($1)", event.logicalid)
        due = datetime.now(UTC) + timedelta(seconds=settings.seconds)
        uow.announce(OrderCompleted(customer=event.data.customer), cause=event, deliver_at=due)
        return ()

    async def on_order_delivery_confirmed(
        event: Event[OrderDeliveryConfirmed], uow: Transaction
    ) -> Iterable[EventData]:
        await uow.connection.execute("INSERT INTO recorded VALUES ($1)", event.logicalid)
        rows = await uow.connection.fetch("SELECT id FROM scheduled WHERE subject = $1", event.subject)
        uow.cancel_scheduled(*(row[0] for row in rows))
        return ()

    async def prepare(event: Event[OrderPaid], uow: Transaction) -> str:
        return str(event.logicalid)

    async def perform(key: str) -> None:
        with settings.calls.open("a") as calls:
            calls.write(f"{key}\n")
        if settings.crash_point == CRASH_AFTER_CALLING:
            die()
        if settings.crash_point == CRASH_HALF_OPEN and breaker.state is BreakerState.HALF_OPEN:
            die()
        if settings.unavailable is not None and settings.unavailable.exists():
            raise TransientError("the gateway is unavailable")

    async def complete(event: Event[OrderPaid], key: str, result: None, uow: Transaction) -> Iterable[EventData]:
        await uow.connection.execute("INSERT INTO recorded VALUES ($1)", event.logicalid)
        return [OrderCompleted(customer=event.data.customer)]

    return {
        OrderConfirmed: on_order_confirmed,
        OrderShipped: on_order_shipped,
        OrderDeliveryConfirmed: on_order_delivery_confirmed,
        OrderPaid: Effect(prepare, perform, complete, breaker, RATE_LIMIT),
    }


if __name__ == "__main__":
    given = msgspec.json.decode(sys.argv[1], type=CrashSettings, dec_hook=lambda kind, value: kind(value))
    if given.crash_point in CRASH_POINTS:
        CRASH_POINTS[given.crash_point]()
    service = Service(
        "probe",
        given.service,
        source="/warren/probe",
        exchange="order.exchange",
        relay=RelaySettings(lease_seconds=2.0, takeover_seconds=0.2),
    )
    service.consume("probe.queue", handlers(given), retry=RetryPolicy(attempts=3))
    service.run()
