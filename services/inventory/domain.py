"""Stock and reservations: what an order reserves, buys and releases.

A reservation keeps the facts that it has received and derives its state from them, so their order does not matter: a
payment that arrives before the order sells the lines as soon as the order arrives, and a released reservation stays
released.
"""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

import msgspec

from services.shared.contracts import EventData
from services.shared.contracts.inventory import (
    InventoryCommitted,
    InventoryOutOfStock,
    InventoryReleased,
    InventoryReserved,
)
from services.shared.contracts.orders import Line, OrderCreated


class ReservationState(StrEnum):
    UNKNOWN = "unknown"
    """The order itself has not arrived yet; nothing is reserved."""
    RESERVED = "reserved"
    OUT_OF_STOCK = "out_of_stock"
    SOLD = "sold"
    RELEASED = "released"
    """Final: nothing is reserved, and nothing will be."""


class StockItem(msgspec.Struct, rename="camel"):
    """The pieces of one article. Invariant: on_hand + reserved + sold = received, and none is negative."""

    sku: str
    on_hand: int
    reserved: int
    sold: int
    received: int

    def reserve(self, quantity: int) -> None:
        self.on_hand -= quantity
        self.reserved += quantity

    def sell(self, quantity: int) -> None:
        self.reserved -= quantity
        self.sold += quantity

    def release(self, quantity: int) -> None:
        self.reserved -= quantity
        self.on_hand += quantity

    def take_back(self, quantity: int) -> None:
        self.sold -= quantity
        self.on_hand += quantity


class Reservation(msgspec.Struct, frozen=True):
    """The reservation of one order. `lines` are set while it is RESERVED or SOLD."""

    order_id: UUID
    state: ReservationState = ReservationState.UNKNOWN
    paid: bool = False
    lines: list[Line] = msgspec.field(default_factory=list)


Stock = Mapping[str, StockItem]
"""By article; without articles that were never received."""
Decision = tuple[Reservation, list[EventData]]
"""The reservation after a fact, and the events to publish. The stock is changed in place."""


def reserve(reservation: Reservation, order: OrderCreated, stock: Stock) -> Decision:
    """Reserve all lines of an order that has arrived, or none."""
    if reservation.state is not ReservationState.UNKNOWN:
        return reservation, []
    lines = _merged(order.lines)
    if missing := _missing(lines, stock):
        changed = msgspec.structs.replace(reservation, state=ReservationState.OUT_OF_STOCK)
        return changed, [InventoryOutOfStock(customer=order.customer, missing=missing)]
    for line in lines:
        stock[line.sku].reserve(line.quantity)
    reserved = msgspec.structs.replace(reservation, state=ReservationState.RESERVED, lines=lines)
    events: list[EventData] = [
        InventoryReserved(
            customer=order.customer,
            total_cents=order.total_cents,
            currency=order.currency,
            payment_token=order.payment_token,
            express=order.express,
        )
    ]
    sold, more = _sell(reserved, stock) if reserved.paid else (reserved, [])
    return sold, events + more


def commit(reservation: Reservation, stock: Stock) -> Decision:
    """Sell the reserved lines of a paid order."""
    paid = msgspec.structs.replace(reservation, paid=True)
    return _sell(paid, stock) if paid.state is ReservationState.RESERVED else (paid, [])


def release(reservation: Reservation, stock: Stock) -> Decision:
    """Release all lines of a cancelled order permanently. Announces this once, even if nothing was reserved."""
    if reservation.state is ReservationState.RELEASED:
        return reservation, []
    for line in reservation.lines:
        if reservation.state is ReservationState.SOLD:
            stock[line.sku].take_back(line.quantity)
        else:
            stock[line.sku].release(line.quantity)
    released = msgspec.structs.replace(reservation, state=ReservationState.RELEASED, lines=[])
    return released, [InventoryReleased(lines=reservation.lines)]


def _sell(reservation: Reservation, stock: Stock) -> Decision:
    for line in reservation.lines:
        stock[line.sku].sell(line.quantity)
    sold = msgspec.structs.replace(reservation, state=ReservationState.SOLD)
    return sold, [InventoryCommitted(lines=reservation.lines)]


def _merged(lines: list[Line]) -> list[Line]:
    """One line for each article, so that two lines of one article cannot count the same piece."""
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    return [Line(sku, quantity) for sku, quantity in sorted(quantities.items())]


def _missing(lines: list[Line], stock: Stock) -> list[Line]:
    missing = []
    for line in lines:
        item = stock.get(line.sku)
        lacking = line.quantity - (item.on_hand if item is not None else 0)
        if lacking > 0:
            missing.append(Line(line.sku, lacking))
    return missing
