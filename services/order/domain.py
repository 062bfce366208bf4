"""An order: the facts known about it, and what follows from them.

Facts arrive in any order and any number of times. They are kept as a set, the state is derived from the set, and
what is announced is the difference that a new fact makes. So every sequence of one order's facts ends in the same
state, and each announcement is made once.

A cancellation runs in two phases. Shipping is asked alone first; only when it has stopped are stock and payment
undone. When the parcel has left instead, the cancellation is withdrawn and the order goes on. That can happen only
once: from then on the parcel is known to have left, and no other cancellation starts.
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


class State(StrEnum):
    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    PAID = "PAID"
    SHIPPED = "SHIPPED"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


class Fact(StrEnum):
    """What the other services, or the customer, have said about an order."""

    RESERVED = "reserved"
    CHARGED = "charged"
    COMMITTED = "committed"
    PREPARED = "prepared"
    DELIVERED = "delivered"
    RECEIPT_CONFIRMED = "receipt_confirmed"
    SHIPPING_STOPPED = "shipping_stopped"
    STOCK_RELEASED = "stock_released"
    PAYMENT_UNDONE = "payment_undone"


ROAD = (State.PENDING, State.CONFIRMED, State.PAID, State.SHIPPED, State.COMPLETED)
"""The states on the way to the end that everybody wishes for."""
_MILESTONES = (Fact.RESERVED, Fact.CHARGED, Fact.PREPARED, Fact.DELIVERED)
"""The fact that opens each state of the road after the first."""
_UNDONE = frozenset({Fact.SHIPPING_STOPPED, Fact.STOCK_RELEASED, Fact.PAYMENT_UNDONE})


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`reached` is how far along the road the order had come when it last moved; the rest of its state is derived."""

    id: UUID
    customer: str
    total_cents: int
    currency: str
    express: bool = False
    facts: frozenset[Fact] = frozenset()
    tracking: str | None = None
    reason: CancelReason | None = None
    reached: State = State.PENDING
    version: int = 1

    @property
    def state(self) -> State:
        if self.reason is None:
            return self.reached
        return State.CANCELLED if self.facts >= _UNDONE else State.CANCELLING

    @property
    def cancellable(self) -> bool:
        """Whether a cancellation could still start."""
        return self.reason is None and Fact.PREPARED not in self.facts and Fact.DELIVERED not in self.facts

    @property
    def awaits_payment(self) -> bool:
        """Whether its deadline still matters."""
        return self.cancellable and Fact.CHARGED not in self.facts

    @property
    def receivable(self) -> bool:
        """Whether the customer may say that the parcel has arrived, or has said so."""
        return self.state is State.SHIPPED or Fact.RECEIPT_CONFIRMED in self.facts


Decision = tuple[Order, list[EventData]]
"""The order as it is now, and what is to be announced because of that."""


def learn(order: Order, fact: Fact, tracking: str | None = None) -> Decision:
    """Add a fact. One that is known already changes nothing."""
    return _decide(order, facts=order.facts | {fact}, tracking=order.tracking or tracking)


def cancel(order: Order, reason: CancelReason) -> Decision:
    """Start a cancellation where that is possible; changes nothing where it is not."""
    return _decide(order, reason=reason) if order.cancellable else (order, [])


def expire(order: Order) -> Decision:
    """The time for paying is over. A payment that is known already came in time."""
    return cancel(order, CancelReason.PAYMENT_TIMEOUT) if order.awaits_payment else (order, [])


def confirm_receipt(order: Order) -> Decision:
    """The customer has the parcel; changes nothing unless the order is SHIPPED."""
    return learn(order, Fact.RECEIPT_CONFIRMED) if order.receivable else (order, [])


def _decide(order: Order, **changes: object) -> Decision:
    changed = _derived(msgspec.structs.replace(order, **changes))
    if changed == order:
        return order, []
    return msgspec.structs.replace(changed, version=order.version + 1), _announcements(order, changed)


def _derived(order: Order) -> Order:
    reason = order.reason
    if Fact.PREPARED in order.facts and Fact.SHIPPING_STOPPED not in order.facts:
        reason = None  # the parcel has left: a cancellation, if there was one, is withdrawn
    reached = order.reached
    if reason is None:
        for milestone, state in zip(_MILESTONES, ROAD[1:], strict=True):
            if milestone not in order.facts:
                break
            reached = state
    return msgspec.structs.replace(order, reason=reason, reached=reached)


def _announcements(before: Order, after: Order) -> list[EventData]:
    events: list[EventData] = [_milestone(state, after) for state in _passed(before.reached, after.reached)]
    if Fact.RECEIPT_CONFIRMED in after.facts - before.facts:
        events.append(OrderDeliveryConfirmed(customer=after.customer))
    if after.reason is None:
        return events
    if before.reason is None:
        events.append(_cancelling(after, after.reason, Participant.SHIPPING))
    if _stopped(after) and not _stopped(before):
        events.append(_cancelling(after, after.reason, Participant.INVENTORY, Participant.PAYMENT))
    if after.state is State.CANCELLED and before.state is not State.CANCELLED:
        events.append(OrderCancelled(customer=after.customer, reason=after.reason))
    return events


def _passed(start: State, end: State) -> tuple[State, ...]:
    return ROAD[ROAD.index(start) + 1 : ROAD.index(end) + 1]


def _milestone(state: State, order: Order) -> EventData:
    match state:
        case State.CONFIRMED:
            return OrderConfirmed(customer=order.customer)
        case State.PAID:
            return OrderPaid(customer=order.customer, total_cents=order.total_cents, currency=order.currency)
        case State.SHIPPED:
            return OrderShipped(customer=order.customer, tracking=order.tracking or "")
        case _:
            return OrderCompleted(customer=order.customer)


def _stopped(order: Order) -> bool:
    return order.reason is not None and Fact.SHIPPING_STOPPED in order.facts


def _cancelling(order: Order, reason: CancelReason, *participants: Participant) -> OrderCancelling:
    return OrderCancelling(customer=order.customer, reason=reason, participants=list(participants))
