"""Shelves and reservations: what an order may take, keeps, and gives back.

A reservation remembers the facts it was told and derives its state from them, so the order in which they arrive
does not matter: a payment heard of before the order itself sells as soon as the order is known, and once released
a reservation stays so, whatever comes late.
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


class State(StrEnum):
    UNKNOWN = "unknown"
    """Nothing is held: the order itself has not been heard of yet."""
    RESERVED = "reserved"
    OUT_OF_STOCK = "out_of_stock"
    SOLD = "sold"
    RELEASED = "released"
    """Nothing is held, and nothing ever will be again."""


class Shelf(msgspec.Struct):
    """The pieces of one article. Always: on_hand + reserved + sold = received, and none is negative."""

    sku: str
    on_hand: int = 0
    reserved: int = 0
    sold: int = 0
    received: int = 0

    def reserve(self, quantity: int) -> None:
        self.on_hand -= quantity
        self.reserved += quantity

    def sell(self, quantity: int) -> None:
        self.reserved -= quantity
        self.sold += quantity

    def put_back(self, quantity: int) -> None:
        self.reserved -= quantity
        self.on_hand += quantity

    def take_back(self, quantity: int) -> None:
        self.sold -= quantity
        self.on_hand += quantity


class Reservation(msgspec.Struct, frozen=True):
    """What one order holds; `lines` are held while it is RESERVED or SOLD."""

    order_id: UUID
    state: State = State.UNKNOWN
    paid: bool = False
    lines: list[Line] = msgspec.field(default_factory=list)


Shelves = Mapping[str, Shelf]
"""By article; one that was never received has none."""
Decision = tuple[Reservation, list[EventData]]
"""The reservation as it is now and what is to be announced. Shelves are changed in place."""


def create(reservation: Reservation, order: OrderCreated, shelves: Shelves) -> Decision:
    """Set aside all lines of an order, or none."""
    if reservation.state is not State.UNKNOWN:
        return reservation, []
    lines = _merged(order.lines)
    if missing := _missing(lines, shelves):
        changed = msgspec.structs.replace(reservation, state=State.OUT_OF_STOCK)
        return changed, [InventoryOutOfStock(customer=order.customer, missing=missing)]
    for line in lines:
        shelves[line.sku].reserve(line.quantity)
    reserved = msgspec.structs.replace(reservation, state=State.RESERVED, lines=lines)
    events: list[EventData] = [
        InventoryReserved(
            customer=order.customer,
            total_cents=order.total_cents,
            currency=order.currency,
            payment_token=order.payment_token,
            express=order.express,
        )
    ]
    sold, more = _sell(reserved, shelves) if reserved.paid else (reserved, [])
    return sold, events + more


def pay(reservation: Reservation, shelves: Shelves) -> Decision:
    """The order is paid: what is set aside for it is sold."""
    paid = msgspec.structs.replace(reservation, paid=True)
    return _sell(paid, shelves) if paid.state is State.RESERVED else (paid, [])


def release(reservation: Reservation, shelves: Shelves) -> Decision:
    """Give everything back, for good. Answered once, even when nothing was held."""
    if reservation.state is State.RELEASED:
        return reservation, []
    for line in reservation.lines:
        if reservation.state is State.SOLD:
            shelves[line.sku].take_back(line.quantity)
        else:
            shelves[line.sku].put_back(line.quantity)
    released = msgspec.structs.replace(reservation, state=State.RELEASED, lines=[])
    return released, [InventoryReleased(lines=reservation.lines)]


def _sell(reservation: Reservation, shelves: Shelves) -> Decision:
    for line in reservation.lines:
        shelves[line.sku].sell(line.quantity)
    sold = msgspec.structs.replace(reservation, state=State.SOLD)
    return sold, [InventoryCommitted(lines=reservation.lines)]


def _merged(lines: list[Line]) -> list[Line]:
    """One line for each article. Two lines for one article must not both count on the same piece."""
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    return [Line(sku, quantity) for sku, quantity in sorted(quantities.items())]


def _missing(lines: list[Line], shelves: Shelves) -> list[Line]:
    missing = []
    for line in lines:
        shelf = shelves.get(line.sku)
        lacking = line.quantity - (shelf.on_hand if shelf is not None else 0)
        if lacking > 0:
            missing.append(Line(line.sku, lacking))
    return missing
