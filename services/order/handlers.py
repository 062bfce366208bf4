"""Event handlers of the order service. Each event adds a fact or requests a cancellation; `domain` decides the rest."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.order import domain
from services.order.domain import Fact
from services.order.store import OrderRepository
from services.shared.contracts import Event, EventData
from services.shared.contracts.inventory import (
    InventoryCommitted,
    InventoryOutOfStock,
    InventoryReleased,
    InventoryReserved,
)
from services.shared.contracts.orders import CancelReason, OrderCancelRequested
from services.shared.contracts.payments import PaymentFailed, PaymentRefunded, PaymentSuccess, PaymentVoided
from services.shared.contracts.shipping import ShippingDelivered, ShippingPrepared, ShippingRefused, ShippingStopped
from warren_messaging.handlers import Handlers

FACTS: Mapping[type[EventData], Fact] = {
    InventoryReserved: Fact.RESERVED,
    InventoryCommitted: Fact.COMMITTED,
    InventoryReleased: Fact.STOCK_RELEASED,
    PaymentSuccess: Fact.CHARGED,
    PaymentVoided: Fact.PAYMENT_REVERSED,
    PaymentRefunded: Fact.PAYMENT_REVERSED,
    ShippingPrepared: Fact.PARCEL_LEFT,
    ShippingDelivered: Fact.DELIVERED,
    ShippingStopped: Fact.SHIPPING_STOPPED,
    # A refusal states that the parcel has left, perhaps before `shipping.prepared` arrives.
    ShippingRefused: Fact.PARCEL_LEFT,
}
CANCEL_REASONS: Mapping[type[EventData], CancelReason] = {
    InventoryOutOfStock: CancelReason.OUT_OF_STOCK,
    PaymentFailed: CancelReason.PAYMENT_FAILED,
}


async def on_fact(event: Event[Any], repository: OrderRepository) -> Iterable[EventData]:
    order, fact = repository.get(event.subject), FACTS[type(event.data)]
    return repository.apply(domain.add_fact(order, fact, getattr(event.data, "tracking", None)))


async def on_failure(event: Event[Any], repository: OrderRepository) -> Iterable[EventData]:
    return repository.apply(domain.cancel(repository.get(event.subject), CANCEL_REASONS[type(event.data)]))


async def on_order_cancel_requested(
    event: Event[OrderCancelRequested], repository: OrderRepository
) -> Iterable[EventData]:
    return repository.apply(domain.cancel(repository.get(event.subject), event.data.reason))


HANDLERS: Handlers[OrderRepository] = {
    **dict.fromkeys(FACTS, on_fact),
    **dict.fromkeys(CANCEL_REASONS, on_failure),
    OrderCancelRequested: on_order_cancel_requested,
}
