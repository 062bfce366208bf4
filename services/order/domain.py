"""An order: the facts known about it, and the state and events that follow from them.

Facts arrive in any order and any number of times. The order keeps them as a set and derives its state from the set.
Each new fact publishes the events of the states that it adds, so every sequence of the same facts ends in the same
state, and each event is published once.

A cancellation has two phases. The first asks shipping alone; only after shipping has stopped the parcel, the second
asks inventory and payment. If the parcel has left, the cancellation is withdrawn and the order goes on. No other
cancellation can start after that.
"""

from enum import StrEnum
from uuid import UUID

import msgspec

from services.shared.contracts import EventData
from services.shared.contracts.orders import (
    CancelReason,
    OrderCancelled,
    OrderCancelling,
    OrderCompleted,
    OrderConfirmed,
    OrderDeliveryConfirmed,
    OrderPaid,
    OrderShipped,
    Participant,
)


class OrderState(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


class Fact(StrEnum):
    """A report of another service, or of the customer. The values are stored."""

    RESERVED = "reserved"
    CHARGED = "charged"
    COMMITTED = "committed"
    PARCEL_LEFT = "prepared"
    DELIVERED = "delivered"
    DELIVERY_CONFIRMED = "receipt_confirmed"
    SHIPPING_STOPPED = "shipping_stopped"
    STOCK_RELEASED = "stock_released"
    PAYMENT_REVERSED = "payment_undone"


HAPPY_PATH = (OrderState.PENDING, OrderState.CONFIRMED, OrderState.PAID, OrderState.SHIPPED, OrderState.COMPLETED)
"""The states of an order that is not cancelled, in their order."""
FINISHED = frozenset({OrderState.COMPLETED, OrderState.CANCELLED})
"""States that no event changes. The column `finished` of the table has the same meaning."""
UNDECIDED = HAPPY_PATH[:2]
"""Values of `reached` of an order that was not paid in time."""
_MILESTONES = (Fact.RESERVED, Fact.CHARGED, Fact.PARCEL_LEFT, Fact.DELIVERED)
"""The fact that each state of HAPPY_PATH requires, without the first state."""
_CANCELLATION_FACTS = frozenset({Fact.SHIPPING_STOPPED, Fact.STOCK_RELEASED, Fact.PAYMENT_REVERSED})


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`reached` is the last state of HAPPY_PATH that the order has reached; `state` is derived."""

    order_id: UUID
    customer: str
    reference: str | None = None
    """The customer's own number."""
    total_cents: int
    currency: str
    express: bool = False
    facts: frozenset[Fact] = frozenset()
    tracking: str | None = None
    reason: CancelReason | None = None
    reached: OrderState = OrderState.PENDING
    version: int = 1
    traceparent: str | None = None
    """The trace context in which it was placed."""

    @property
    def state(self) -> OrderState:
        if self.reason is None:
            return self.reached
        return OrderState.CANCELLED if self.facts >= _CANCELLATION_FACTS else OrderState.CANCELLING

    @property
    def decided(self) -> bool:
        """Whether it was paid in time, or is cancelled: the customer knows whether the order stands."""
        return self.reached not in UNDECIDED or self.state is OrderState.CANCELLED

    @property
    def cancellable(self) -> bool:
        """Whether a cancellation can start."""
        return self.reason is None and Fact.PARCEL_LEFT not in self.facts and Fact.DELIVERED not in self.facts

    @property
    def awaits_payment(self) -> bool:
        """Whether the order has a deadline."""
        return self.cancellable and Fact.CHARGED not in self.facts

    @property
    def can_confirm_delivery(self) -> bool:
        """Whether the customer may confirm the delivery, or has confirmed it."""
        return self.state is OrderState.SHIPPED or Fact.DELIVERY_CONFIRMED in self.facts


Decision = tuple[Order, list[EventData]]
"""The order after a fact, and the events to publish."""


def add_fact(order: Order, fact: Fact, tracking: str | None = None) -> Decision:
    """Add a fact. A known fact changes nothing."""
    return _decide(order, facts=order.facts | {fact}, tracking=order.tracking or tracking)


def cancel(order: Order, reason: CancelReason) -> Decision:
    """Start a cancellation if the order is cancellable; otherwise change nothing."""
    return _decide(order, reason=reason) if order.cancellable else (order, [])


def expire(order: Order) -> Decision:
    """Cancel an order whose payment deadline has passed. A known payment was in time, even if the order is not PAID."""
    return cancel(order, CancelReason.PAYMENT_TIMEOUT) if order.awaits_payment else (order, [])


def confirm_delivery(order: Order) -> Decision:
    """Store that the customer has confirmed the delivery. Changes nothing unless the order is SHIPPED."""
    return add_fact(order, Fact.DELIVERY_CONFIRMED) if order.can_confirm_delivery else (order, [])


def _decide(order: Order, **changes: object) -> Decision:
    changed = _derived(msgspec.structs.replace(order, **changes))
    if changed == order:
        return order, []
    return msgspec.structs.replace(changed, version=order.version + 1), _announcements(order, changed)


def _derived(order: Order) -> Order:
    reason = order.reason
    if Fact.PARCEL_LEFT in order.facts and Fact.SHIPPING_STOPPED not in order.facts:
        reason = None  # the parcel has left: withdraws the cancellation, if there is one
    reached = order.reached
    if reason is None:
        for milestone, state in zip(_MILESTONES, HAPPY_PATH[1:], strict=True):
            if milestone not in order.facts:
                break
            reached = state
    return msgspec.structs.replace(order, reason=reason, reached=reached)


def _announcements(before: Order, after: Order) -> list[EventData]:
    events: list[EventData] = [_milestone(state, after) for state in _passed(before.reached, after.reached)]
    if Fact.DELIVERY_CONFIRMED in after.facts - before.facts:
        events.append(OrderDeliveryConfirmed(customer=after.customer))
    if after.reason is None:
        return events
    if before.reason is None:
        events.append(_cancelling(after, after.reason, Participant.SHIPPING))
    if _stopped(after) and not _stopped(before):
        events.append(_cancelling(after, after.reason, Participant.INVENTORY, Participant.PAYMENT))
    if after.state is OrderState.CANCELLED and before.state is not OrderState.CANCELLED:
        events.append(OrderCancelled(customer=after.customer, reason=after.reason))
    return events


def _passed(start: OrderState, end: OrderState) -> tuple[OrderState, ...]:
    return HAPPY_PATH[HAPPY_PATH.index(start) + 1 : HAPPY_PATH.index(end) + 1]


def _milestone(state: OrderState, order: Order) -> EventData:
    match state:
        case OrderState.CONFIRMED:
            return OrderConfirmed(customer=order.customer)
        case OrderState.PAID:
            return OrderPaid(customer=order.customer, total_cents=order.total_cents, currency=order.currency)
        case OrderState.SHIPPED:
            return OrderShipped(customer=order.customer, tracking=order.tracking or "")
        case _:
            return OrderCompleted(customer=order.customer)


def _stopped(order: Order) -> bool:
    return order.reason is not None and Fact.SHIPPING_STOPPED in order.facts


def _cancelling(order: Order, reason: CancelReason, *participants: Participant) -> OrderCancelling:
    return OrderCancelling(customer=order.customer, reason=reason, participants=list(participants))
