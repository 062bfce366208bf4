"""The words for every event that this service can receive. Silence is a decision too and stands in the table."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.shared.contracts import AnyEvent, EventData
from services.shared.contracts.inventory import InventoryOutOfStock, InventoryReserved
from services.shared.contracts.orders import (
    CancelReason,
    OrderCancelled,
    OrderCancelling,
    OrderCompleted,
    OrderConfirmed,
    OrderCreated,
    OrderDeliveryConfirmed,
    OrderPaid,
    OrderShipped,
)


class Words(msgspec.Struct, frozen=True):
    title: str
    text: str


REASONS: Mapping[CancelReason, str] = {
    CancelReason.OUT_OF_STOCK: "because something in it is out of stock",
    CancelReason.PAYMENT_FAILED: "because the payment was declined",
    CancelReason.PAYMENT_TIMEOUT: "because the payment did not arrive in time",
    CancelReason.FRAUD: "because it did not pass our security check",
    CancelReason.CUSTOMER: "as you asked",
}
"""Why an order was cancelled, as the end of a sentence."""

NAMED_ARTICLES = 20
"""More missing articles than this are counted, not listed."""


def _confirmed(order: str, _: OrderConfirmed) -> Words:
    return Words(
        f"Order {order} is confirmed",
        f"Everything in your order {order} is in stock and set aside for you. We will tell you when it is paid.",
    )


def _paid(order: str, data: OrderPaid) -> Words:
    amount = money(data.total_cents, data.currency)
    return Words(f"Order {order} is paid", f"We have received {amount} for your order {order} and are packing it.")


def _shipped(order: str, data: OrderShipped) -> Words:
    return Words(
        f"Order {order} is on its way",
        f"Your order {order} has left our warehouse. You can follow the parcel with the number {data.tracking}.",
    )


def _completed(order: str, _: OrderCompleted) -> Words:
    return Words(f"Order {order} has arrived", f"Your order {order} was delivered. Thank you for buying from us.")


def _cancelled(order: str, data: OrderCancelled) -> Words:
    return Words(
        f"Order {order} is cancelled",
        f"Your order {order} was cancelled {REASONS[data.reason]}. If you had paid, the money is on its way back.",
    )


def _out_of_stock(order: str, data: InventoryOutOfStock) -> Words:
    named = [f"- {line.sku} ({line.quantity} missing)" for line in data.missing[:NAMED_ARTICLES]]
    if more := len(data.missing) - NAMED_ARTICLES:
        named += [f"- and {more} more"] if more > 0 else []
    return Words(
        f"Something in order {order} is out of stock",
        f"We are sorry: we cannot fulfil your order {order}. These articles are missing:\n" + "\n".join(named),
    )


WORDING: Mapping[type[EventData], Callable[[str, Any], Words] | None] = {
    # The shop has answered the customer already, and confirmed or out_of_stock follows and says more.
    OrderCreated: None,
    OrderConfirmed: _confirmed,
    OrderPaid: _paid,
    OrderShipped: _shipped,
    OrderCompleted: _completed,
    # It may still be withdrawn; its end is told.
    OrderCancelling: None,
    OrderCancelled: _cancelled,
    # It is the customer who said it.
    OrderDeliveryConfirmed: None,
    # A wish between services. The decision is told.
    # order.confirmed tells it.
    InventoryReserved: None,
    InventoryOutOfStock: _out_of_stock,
}


def words(event: AnyEvent) -> Words | None:
    """What to say, or None for silence. People know an order by their own number for it, if it has one."""
    say = WORDING[type(event.data)]
    return None if say is None else say(event.reference or str(event.subject), event.data)


def money(cents: int, currency: str) -> str:
    return f"{cents // 100}.{cents % 100:02d} {currency}"
