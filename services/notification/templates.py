"""Message templates for every event that this service receives. None: customers are not notified of the event."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.shared.contracts import AnyEvent, EventData
from services.shared.contracts.fraud import FraudFlagged
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
    OrderPaymentReminder,
    OrderShipped,
)


class MessageText(msgspec.Struct, frozen=True):
    title: str
    body: str


REASONS: Mapping[CancelReason, str] = {
    CancelReason.OUT_OF_STOCK: "because something in it is out of stock",
    CancelReason.PAYMENT_FAILED: "because the payment was declined",
    CancelReason.PAYMENT_TIMEOUT: "because the payment did not arrive in time",
    CancelReason.FRAUD: "because it did not pass our security check",
    CancelReason.CUSTOMER: "as you asked",
}
"""Why an order was cancelled, as the end of a sentence."""

MAX_LISTED_ARTICLES = 20
"""Further missing articles are counted."""


def _confirmed(order: str, _: OrderConfirmed) -> MessageText:
    return MessageText(
        f"Order {order} is confirmed",
        f"Everything in your order {order} is in stock and set aside for you. We will tell you when it is paid.",
    )


def _payment_reminder(order: str, data: OrderPaymentReminder) -> MessageText:
    amount = format_amount(data.total_cents, data.currency)
    return MessageText(
        f"Payment of order {order} is missing",
        f"We have not received the {amount} for your order {order} yet. If the payment fails, the order is cancelled.",
    )


def _paid(order: str, data: OrderPaid) -> MessageText:
    amount = format_amount(data.total_cents, data.currency)
    return MessageText(
        f"Order {order} is paid", f"We have received {amount} for your order {order} and are packing it."
    )


def _shipped(order: str, data: OrderShipped) -> MessageText:
    return MessageText(
        f"Order {order} is on its way",
        f"Your order {order} has left our warehouse. You can follow the parcel with the number {data.tracking}.",
    )


def _completed(order: str, _: OrderCompleted) -> MessageText:
    return MessageText(f"Order {order} has arrived", f"Your order {order} was delivered. Thank you for buying from us.")


def _cancelled(order: str, data: OrderCancelled) -> MessageText:
    return MessageText(
        f"Order {order} is cancelled",
        f"Your order {order} was cancelled {REASONS[data.reason]}. If you had paid, the money is on its way back.",
    )


def _out_of_stock(order: str, data: InventoryOutOfStock) -> MessageText:
    listed = [f"- {line.sku} ({line.quantity} missing)" for line in data.missing[:MAX_LISTED_ARTICLES]]
    if (more := len(data.missing) - MAX_LISTED_ARTICLES) > 0:
        listed.append(f"- and {more} more")
    return MessageText(
        f"Something in order {order} is out of stock",
        f"We are sorry: we cannot fulfil your order {order}. These articles are missing:\n" + "\n".join(listed),
    )


TEMPLATES: Mapping[type[EventData], Callable[[str, Any], MessageText] | None] = {
    # The API has answered the customer; the confirmation or the missing articles follow.
    OrderCreated: None,
    OrderConfirmed: _confirmed,
    OrderPaymentReminder: _payment_reminder,
    OrderPaid: _paid,
    OrderShipped: _shipped,
    OrderCompleted: _completed,
    # A cancelling may be withdrawn; its result is notified.
    OrderCancelling: None,
    OrderCancelled: _cancelled,
    # The customer has confirmed it.
    OrderDeliveryConfirmed: None,
    # order.confirmed follows.
    InventoryReserved: None,
    InventoryOutOfStock: _out_of_stock,
    # order.cancelled follows, or the order goes on because its parcel has left. The rules are not for customers.
    FraudFlagged: None,
}


def render(event: AnyEvent) -> MessageText | None:
    """Names the order by the customer's reference, or else by its id."""
    template = TEMPLATES[type(event.data)]
    return None if template is None else template(event.reference or str(event.subject), event.data)


def format_amount(cents: int, currency: str) -> str:
    return f"{cents // 100}.{cents % 100:02d} {currency}"
