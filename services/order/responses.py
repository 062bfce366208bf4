"""The order as the API returns it."""

from datetime import datetime
from uuid import UUID

import msgspec

from services.order.domain import OrderState
from services.shared.contracts.orders import CancelReason


class PricedLine(msgspec.Struct, frozen=True, rename="camel"):
    """A quantity of one article, at the price of the time when the order was placed."""

    sku: str
    quantity: int
    unit_cents: int


class OrderResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order. Every change increments `version`."""

    order_id: UUID = msgspec.field(name="id")
    reference: str | None = msgspec.field(name="orderId")
    """The customer's own number."""
    customer: str
    state: OrderState
    reason: CancelReason | None
    """Why it is being or was cancelled."""
    lines: list[PricedLine]
    total_cents: int
    currency: str
    express: bool
    tracking: str | None
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def location(self) -> str:
        return f"/orders/{self.order_id}"

    def as_placed(self) -> "OrderResponse":
        """The order as it was when it was placed: the response to a repeated request."""
        return msgspec.structs.replace(
            self, state=OrderState.PENDING, reason=None, tracking=None, version=1, updated_at=self.created_at
        )


class OrderPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Orders, newest first. `next` is the cursor of the next page, null on the last."""

    orders: list[OrderResponse]
    next: str | None
