"""The metrics of orders: accepted by the API, brought to their end by the worker."""

import asyncio
import math
from collections.abc import Sequence
from uuid import UUID

import asyncpg
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.order.domain import FINISHED, OrderState
from services.order.queries import DECISION_SECONDS, UnfinishedState, unfinished_orders
from services.order.store import OrderRepository
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
from warren_messaging.transaction import Transaction

QUERY_SECONDS = 2.0
BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
"""Seconds. 60 is the objective for the step `paid`."""
DECIDED = "decided"
"""The first of the steps paid and cancelled."""
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

    def committed(self, transaction: Transaction, events: Sequence[AnyEvent]) -> None:
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
        self._decided = duration.labels(DECIDED)

    def committed(self, transaction: Transaction, events: Sequence[AnyEvent]) -> None:
        decided = set()
        for event in events:
            duration = self._durations.get(event.type)
            if duration is None or not isinstance(transaction, OrderRepository):
                continue
            trace = exemplar(event.traceparent)
            if (accepted := accepted_at(event.subject)) is not None:
                seconds = max(event.time.timestamp() - accepted, 0.0)
                duration.observe(seconds, trace)
                is_decision = event.type in (OrderPaid.TYPE, OrderCancelled.TYPE)
                if is_decision and event.subject not in decided and transaction.decides(event.subject):
                    decided.add(event.subject)
                    self._decided.observe(seconds, trace)
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
        self._overdue = Gauge(
            "warren_orders_overdue",
            f"Orders accepted more than {DECISION_SECONDS:.0f} s ago, neither paid nor cancelled; NaN: unknown.",
            registry=registry,
        )

    async def refresh(self) -> None:
        found: dict[OrderState, UnfinishedState] | None = None
        try:
            async with asyncio.timeout(QUERY_SECONDS), self._database.connection() as connection:
                found = await unfinished_orders(connection)
        except (TimeoutError, MessagingError, asyncpg.PostgresError):
            pass  # NaN
        for state in OrderState:
            if state not in FINISHED:
                self._orders.labels(state).set(math.nan if found is None else found[state].orders)
                self._ages.labels(state).set(math.nan if found is None else found[state].oldest_seconds)
        self._overdue.set(math.nan if found is None else sum(each.overdue for each in found.values()))


def accepted_at(order_id: UUID) -> float | None:
    """Return when an order was accepted, in Unix seconds: the time in its id, a UUIDv7; None for another id.

    So no row has to be read for a duration. The API has made the id, by its own clock.
    """
    return (order_id.int >> 80) / 1000 if order_id.version == 7 else None
