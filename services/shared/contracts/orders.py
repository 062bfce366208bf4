"""What the order service says."""

from enum import StrEnum
from typing import ClassVar

import msgspec

from services.shared.contracts.values import (
    Cents,
    Currency,
    EmailAddress,
    Name,
    PaymentToken,
    PhoneNumber,
    Quantity,
)
from warren_messaging.events import EventData

EXPRESS_PRIORITY = 8
"""Of 31; 4 is everybody else's."""


class CancelReason(StrEnum):
    OUT_OF_STOCK = "out_of_stock"
    PAYMENT_FAILED = "payment_failed"
    PAYMENT_TIMEOUT = "payment_timeout"
    FRAUD = "fraud"
    CUSTOMER = "customer"


class Participant(StrEnum):
    """Services that undo their part of an order; each one asked answers, even when it had done nothing."""

    INVENTORY = "inventory"
    PAYMENT = "payment"
    SHIPPING = "shipping"


class Line(msgspec.Struct, frozen=True, rename="camel"):
    """So many pieces of one article."""

    sku: Name
    quantity: Quantity


class Contact(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Where the customer wants to hear from us; an absent channel stays silent."""

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
    """Asks `participants` to undo what they did. Those not named do nothing.

    Shipping is asked alone first: its refusal must come before anything is released or refunded.
    """

    TYPE: ClassVar[str] = "order.cancelling"
    customer: Name
    reason: CancelReason
    participants: list[Participant]


class OrderCancelled(EventData, frozen=True, kw_only=True, rename="camel"):
    """Every compensation has reported."""

    TYPE: ClassVar[str] = "order.cancelled"
    customer: Name
    reason: CancelReason


class OrderDeliveryConfirmed(EventData, frozen=True, kw_only=True, rename="camel"):
    """The customer says that the parcel has arrived."""

    TYPE: ClassVar[str] = "order.delivery_confirmed"
    customer: Name


class OrderCancelRequested(EventData, frozen=True, kw_only=True, rename="camel"):
    """Another service asks for an order to be cancelled; the order service decides."""

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
    OrderCancelRequested,
)
