"""What the metrics of orders count, from the units of work that have committed."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prometheus_client import CollectorRegistry

from services.order.metrics import AcceptedOrders, OrderSteps, accepted_at
from services.order.placement_store import PlacementTransaction
from services.order.store import OrderRepository
from services.shared.contracts.orders import CancelReason, OrderCancelled, OrderCompleted, OrderCreated, OrderPaid
from warren_messaging import codec
from warren_messaging.testing import event_of

NO_CONNECTION: Any = SimpleNamespace()


class Decisions(OrderRepository):
    """A repository whose transaction has decided these orders."""

    def __init__(self, *decided: UUID) -> None:
        super().__init__(NO_CONNECTION)
        self._decided = decided

    def decides(self, order_id: UUID) -> bool:
        return order_id in self._decided


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def steps(registry: CollectorRegistry, step: str) -> tuple[float | None, float | None]:
    """Return count and sum."""
    value, labels = registry.get_sample_value, {"step": step}
    name = "warren_order_step_duration_seconds"
    return value(f"{name}_count", labels), value(f"{name}_sum", labels)


def later(order_id: UUID, seconds: float) -> datetime:
    accepted = accepted_at(order_id)
    assert accepted is not None
    return datetime.fromtimestamp(accepted, UTC) + timedelta(seconds=seconds)


def test_an_id_has_the_time_of_the_acceptance() -> None:
    accepted = accepted_at(codec.new_id())
    assert accepted is not None
    assert abs(accepted - datetime.now(UTC).timestamp()) < 60
    assert accepted_at(uuid4()) is None


def test_accepted_orders_are_counted_by_express(registry: CollectorRegistry) -> None:
    accepted = AcceptedOrders(registry)
    fields: dict[str, Any] = {"customer": "ada", "lines": [], "total_cents": 1, "currency": "EUR", "payment_token": "t"}
    events = [event_of(OrderCreated(**fields)), event_of(OrderCreated(**fields, express=True)), event_of(PAID)]
    accepted.committed(PlacementTransaction(NO_CONNECTION), events)
    assert registry.get_sample_value("warren_orders_accepted_total", {"express": "false"}) == 1
    assert registry.get_sample_value("warren_orders_accepted_total", {"express": "true"}) == 1


PAID = OrderPaid(customer="ada", total_cents=1, currency="EUR")
CANCELLED = OrderCancelled(customer="ada", reason=CancelReason.CUSTOMER)


def test_an_order_is_decided_once_by_its_payment(registry: CollectorRegistry) -> None:
    listener, order = OrderSteps(registry), codec.new_id()
    paid, cancelled = (
        event_of(data, subject=order, time=later(order, seconds)) for data, seconds in ((PAID, 5), (CANCELLED, 70))
    )
    listener.committed(Decisions(order), [paid])
    listener.committed(Decisions(), [cancelled])
    assert steps(registry, "decided") == steps(registry, "paid") == (1, 5)
    assert steps(registry, "cancelled") == (1, 70)
    assert registry.get_sample_value("warren_orders_cancelled_total", {"reason": "customer"}) == 1


def test_an_order_that_is_paid_and_cancelled_in_one_transaction_is_decided_once(registry: CollectorRegistry) -> None:
    listener, order = OrderSteps(registry), codec.new_id()
    listener.committed(Decisions(order), [event_of(data, subject=order) for data in (PAID, CANCELLED)])
    assert steps(registry, "decided")[0] == 1


def test_a_clock_that_is_behind_gives_no_negative_duration(registry: CollectorRegistry) -> None:
    listener, order = OrderSteps(registry), codec.new_id()
    event = event_of(OrderCompleted(customer="ada"), subject=order, time=later(order, -30))
    listener.committed(Decisions(), [event])
    assert steps(registry, "completed") == (1, 0)
    assert registry.get_sample_value("warren_orders_completed_total") == 1
