"""Events of the order service, and the values that they share with other events."""

from enum import StrEnum
from typing import ClassVar

import msgspec

from services.shared.contracts.values import Cents, Currency, EmailAddress, Name, PaymentToken, PhoneNumber, Quantity
from warren_messaging.events import EventData

EXPRESS_PRIORITY = 8
"""AMQP priority of express orders, 0 to 31; other orders have 4."""


class CancelReason(StrEnum):
    OUT_OF_STOCK = "out_of_stock"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_TIMEOUT = "payment_timeout"
    FRAUD = "fraud"
    CUSTOMER = "customer"


class Participant(StrEnum):
    """Services that take part in a cancellation. Each one that is asked answers, even if it has nothing to undo."""

    INVENTORY = "inventory"
    PAYMENT = "payment"
    SHIPPING = "shipping"


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """A quantity of one article."""

    sku: Name
    quantity: Quantity


class Contact(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Addresses of the customer; a channel without an address sends nothing."""

    email: EmailAddress | None = None
    phone: PhoneNumber | None = None


class OrderCreated(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "order.created"
    customer: Name
    lines: list[Line]
    total_cents: Cents
    currency: Currency
    payment_token: PaymentToken
    express: bool = False
    contact: Contact = Contact()


class OrderConfirmed(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "order.confirmed"
    customer: Name


class OrderPaid(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "order.paid"
    customer: Name
    total_cents: Cents
    currency: Currency


class OrderShipped(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "order.shipped"
    customer: Name
    tracking: Name


class OrderCompleted(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "order.completed"
    customer: Name


class OrderCancelling(EventData, frozen=True, kw_only=True, rename="camel"):
    """Asks `participants` to undo their part. Other services ignore it.

    Shipping is asked alone first: it may refuse, and must do so before stock is released or money refunded.
    """

    TYPE: ClassVar[str] = "order.cancelling"
    customer: Name
    reason: CancelReason
    participants: list[Participant]


def concerns(participant: Participant, data: EventData) -> bool:
    """Whether `participant` acts on an event: on each `order.cancelling` that asks it, and on all other events."""
    return not isinstance(data, OrderCancelling) or participant in data.participants


class OrderCancelled(EventData, frozen=True, kw_only=True, rename="camel"):
    """All participants have answered."""

    TYPE: ClassVar[str] = "order.cancelled"
    customer: Name
    reason: CancelReason


class OrderDeliveryConfirmed(EventData, frozen=True, kw_only=True, rename="camel"):
    """The customer confirms that the parcel has arrived."""

    TYPE: ClassVar[str] = "order.delivery_confirmed"
    customer: Name


class OrderPaymentReminder(EventData, frozen=True, kw_only=True, rename="camel"):
    """The order has waited for its payment for a while; scheduled when it is placed, cancelled when it is paid."""

    TYPE: ClassVar[str] = "order.payment_reminder"
    customer: Name
    total_cents: Cents
    currency: Currency


class OrderCancelRequested(EventData, frozen=True, kw_only=True, rename="camel"):
    """Another service requests a cancellation; the order service decides."""

    TYPE: ClassVar[str] = "order.cancel_requested"
    reason: CancelReason


EVENTS = (
    OrderCreated,
    OrderConfirmed,
    OrderPaid,
    OrderShipped,
    OrderCompleted,
    OrderCancelling,
    OrderCancelled,
    OrderDeliveryConfirmed,
    OrderPaymentReminder,
    OrderCancelRequested,
)
