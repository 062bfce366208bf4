"""Events of the inventory service."""

from typing import ClassVar

from services.shared.contracts.orders import Line
from services.shared.contracts.values import Cents, Currency, Name, PaymentToken
from warren_messaging.events import EventData


class InventoryReserved(EventData, frozen=True, kw_only=True, rename="camel"):
    """All lines are reserved. Repeats the order data that payment needs, so payment requests nothing."""

    TYPE: ClassVar[str] = "inventory.reserved"
    customer: Name
    total_cents: Cents
    currency: Currency
    payment_token: PaymentToken
    express: bool = False


class InventoryOutOfStock(EventData, frozen=True, kw_only=True, rename="camel"):
    """Nothing is reserved; `missing` has the articles that fell short, with the missing quantities."""

    TYPE: ClassVar[str] = "inventory.out_of_stock"
    customer: Name
    missing: list[Line]


class InventoryCommitted(EventData, frozen=True, kw_only=True, rename="camel"):
    """The reserved lines are sold."""

    TYPE: ClassVar[str] = "inventory.committed"
    lines: list[Line]


class InventoryReleased(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: `lines` are available again. Empty when nothing was reserved."""

    TYPE: ClassVar[str] = "inventory.released"
    lines: list[Line]


EVENTS = (InventoryReserved, InventoryOutOfStock, InventoryCommitted, InventoryReleased)
