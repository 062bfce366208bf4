"""What the inventory service says."""

from typing import ClassVar

from services.shared.contracts.orders import Line
from services.shared.contracts.values import Cents, Currency, Name, PaymentToken
from warren_messaging.events import EventData


class InventoryReserved(EventData, frozen=True, kw_only=True, rename="camel"):
    """Every line is set aside. Carries on what payment needs, so that payment asks nobody."""

    TYPE: ClassVar[str] = "inventory.reserved"
    customer: Name
    total_cents: Cents
    currency: Currency
    payment_token: PaymentToken
    express: bool = False


class InventoryOutOfStock(EventData, frozen=True, kw_only=True, rename="camel"):
    """Nothing is set aside; `missing` names the articles that fell short, with the pieces lacking."""

    TYPE: ClassVar[str] = "inventory.out_of_stock"
    customer: Name
    missing: list[Line]


class InventoryCommitted(EventData, frozen=True, kw_only=True, rename="camel"):
    """The reserved pieces are sold."""

    TYPE: ClassVar[str] = "inventory.committed"
    lines: list[Line]


class InventoryReleased(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`; `lines` are back on the shelf, none when nothing was held."""

    TYPE: ClassVar[str] = "inventory.released"
    lines: list[Line]


EVENTS = (InventoryReserved, InventoryOutOfStock, InventoryCommitted, InventoryReleased)
