"""The metrics of orders: accepted by the API, brought to their end by the worker."""

import asyncio
import math
from collections.abc import Sequence
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.order.domain import FINISHED, OrderState
from services.order.queries import unfinished_orders
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import (
    CancelReason,
    OrderCancelled,
    OrderCompleted,
    OrderConfirmed,
    OrderCreated,
    OrderPaid,
    OrderShipped,
)
from warren_messaging.errors import MessagingError
from warren_messaging.postgres.database import Database
from warren_messaging.prometheus import exemplar
from warren_messaging.telemetry import Telemetry

QUERY_SECONDS = 2.0
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds. 60 is the objective for the step `paid`."""
STEPS = {
    OrderConfirmed.TYPE: "confirmed",
    OrderPaid.TYPE: "paid",
    OrderShipped.TYPE: "shipped",
    OrderCompleted.TYPE: "completed",
    OrderCancelled.TYPE: "cancelled",
}
"""Event type to the step that it announces."""


class AcceptedOrders(Telemetry):
    """Counts the orders that this process has accepted and stored."""

    def __init__(self, registry: CollectorRegistry) -> None:
        accepted = Counter("warren_orders_accepted", "Orders that were stored.", ["express"], registry=registry)
        self._accepted = {express: accepted.labels(str(express).lower()) for express in (False, True)}

    def committed(self, events: Sequence[AnyEvent]) -> None:
        for event in events:
            if type(event.data) is OrderCreated:
                self._accepted[event.data.express].inc(exemplar=exemplar(event.traceparent))


class OrderSteps(Telemetry):
    """Counts finished orders, and measures the time from the acceptance of an order to each of its steps."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._completed = Counter(
            "warren_orders_completed", "Orders that have arrived at the customer.", registry=registry
        )
        cancelled = Counter(
            "warren_orders_cancelled", "Orders that were cancelled, by reason.", ["reason"], registry=registry
        )
        self._cancelled = {reason: cancelled.labels(reason) for reason in CancelReason}
        duration = Histogram(
            "warren_order_step_duration_seconds",
            "From the acceptance of an order to a step of it.",
            ["step"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._durations = {kind: duration.labels(step) for kind, step in STEPS.items()}

    def committed(self, events: Sequence[AnyEvent]) -> None:
        for event in events:
            duration = self._durations.get(event.type)
            if duration is None:
                continue
            trace = exemplar(event.traceparent)
            if (accepted := accepted_at(event.subject)) is not None:
                duration.observe(max(event.time.timestamp() - accepted, 0.0), trace)
            if isinstance(event.data, OrderCompleted):
                self._completed.inc(exemplar=trace)
            elif isinstance(event.data, OrderCancelled):
                self._cancelled[event.data.reason].inc(exemplar=trace)


class UnfinishedOrders:
    """Reads the numbers and ages of unfinished orders. All replicas show the same numbers: take their maximum."""

    def __init__(self, database: Database, registry: CollectorRegistry) -> None:
        self._database = database
        self._orders = Gauge(
            "warren_orders", "Unfinished orders, all replicas the same; NaN: unknown.", ["state"], registry=registry
        )
        self._ages = Gauge(
            "warren_orders_oldest_age_seconds",
            "Time since the acceptance of the oldest unfinished order, 0 without one; NaN: unknown.",
            ["state"],
            registry=registry,
        )

    async def refresh(self) -> None:
        values = {state: (0.0, 0.0) for state in OrderState if state not in FINISHED}
        try:
            async with asyncio.timeout(QUERY_SECONDS), self._database.connection() as connection:
                values |= await unfinished_orders(connection)
        except (TimeoutError, MessagingError):
            values = dict.fromkeys(values, (math.nan, math.nan))
        for state, (count, age) in values.items():
            self._orders.labels(state).set(count)
            self._ages.labels(state).set(age)


def accepted_at(order_id: UUID) -> float | None:
    """Return when an order was accepted, in Unix seconds: the time in its id, a UUIDv7; None for another id.

    So no row has to be read for a duration. The API has made the id, by its own clock.
    """
    return (order_id.int >> 80) / 1000 if order_id.version == 7 else None
