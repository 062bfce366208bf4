"""What the order service learns from the others. Each handler adds one fact or asks for a cancellation; what
follows from that is the domain's business."""

from collections.abc import Iterable
from typing import Any

from services.order import domain
from services.order.domain import Fact
from services.order.store import OrderBook
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

Events = Iterable[EventData]


async def on_inventory_reserved(event: Event[InventoryReserved], book: OrderBook) -> Events:
    return _learn(event, book, Fact.RESERVED)


async def on_inventory_out_of_stock(event: Event[InventoryOutOfStock], book: OrderBook) -> Events:
    return book.keep(domain.cancel(book.order(event.subject), CancelReason.OUT_OF_STOCK))


async def on_inventory_committed(event: Event[InventoryCommitted], book: OrderBook) -> Events:
    return _learn(event, book, Fact.COMMITTED)


async def on_inventory_released(event: Event[InventoryReleased], book: OrderBook) -> Events:
    return _learn(event, book, Fact.STOCK_RELEASED)


async def on_payment_success(event: Event[PaymentSuccess], book: OrderBook) -> Events:
    return _learn(event, book, Fact.CHARGED)


async def on_payment_failed(event: Event[PaymentFailed], book: OrderBook) -> Events:
    return book.keep(domain.cancel(book.order(event.subject), CancelReason.PAYMENT_FAILED))


async def on_payment_undone(event: Event[PaymentVoided] | Event[PaymentRefunded], book: OrderBook) -> Events:
    return _learn(event, book, Fact.PAYMENT_UNDONE)


async def on_shipping_prepared(event: Event[ShippingPrepared], book: OrderBook) -> Events:
    return _learn(event, book, Fact.PREPARED, event.data.tracking)


async def on_shipping_delivered(event: Event[ShippingDelivered], book: OrderBook) -> Events:
    return _learn(event, book, Fact.DELIVERED, event.data.tracking)


async def on_shipping_stopped(event: Event[ShippingStopped], book: OrderBook) -> Events:
    return _learn(event, book, Fact.SHIPPING_STOPPED)


async def on_shipping_refused(event: Event[ShippingRefused], book: OrderBook) -> Events:
    # A refusal says the same as the announcement of the parcel, which may still be on its way to us.
    return _learn(event, book, Fact.PREPARED, event.data.tracking)


async def on_order_cancel_requested(event: Event[OrderCancelRequested], book: OrderBook) -> Events:
    return book.keep(domain.cancel(book.order(event.subject), event.data.reason))


def _learn(event: Event[Any], book: OrderBook, fact: Fact, tracking: str | None = None) -> Events:
    return book.keep(domain.learn(book.order(event.subject), fact, tracking))


HANDLERS: Handlers[OrderBook] = {
    InventoryReserved: on_inventory_reserved,
    InventoryOutOfStock: on_inventory_out_of_stock,
    InventoryCommitted: on_inventory_committed,
    InventoryReleased: on_inventory_released,
    PaymentSuccess: on_payment_success,
    PaymentFailed: on_payment_failed,
    PaymentVoided: on_payment_undone,
    PaymentRefunded: on_payment_undone,
    ShippingPrepared: on_shipping_prepared,
    ShippingDelivered: on_shipping_delivered,
    ShippingStopped: on_shipping_stopped,
    ShippingRefused: on_shipping_refused,
    OrderCancelRequested: on_order_cancel_requested,
}
