"""What a customer is told about an order."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.order.domain import State
from services.shared.contracts.orders import CancelReason


class PricedLine(msgspec.Struct, frozen=True, rename="camel"):
    """So many pieces of one article, at the price that held when the order was placed."""

    sku: str
    quantity: int
    unit_cents: int


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order. `version` grows with every change and never falls."""

    id: UUID
    order_id: str | None
    """The customer's own number."""
    customer: str
    state: State
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
        return f"/orders/{self.id}"


class OrderPage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Orders, newest first. `next` is the cursor of the page after this one, null on the last."""

    orders: list[OrderAnswer]
    next: str | None


COLUMNS = (
    "id, reference, customer, state, reason, lines, total_cents, currency, express, tracking, version,"
    " created_at, updated_at"
)

_lines = msgspec.json.Decoder(list[PricedLine])


def answer_of(row: Any) -> OrderAnswer:
    """The order in a row with COLUMNS."""
    return OrderAnswer(
        id=row["id"],
        order_id=row["reference"],
        customer=row["customer"],
        state=State(row["state"]),
        reason=CancelReason(row["reason"]) if row["reason"] else None,
        lines=_lines.decode(row["lines"]),
        total_cents=row["total_cents"],
        currency=row["currency"],
        express=row["express"],
        tracking=row["tracking"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def as_placed(answer: OrderAnswer) -> OrderAnswer:
    """The order as it was when it had just been placed: the answer that a repeated request gets."""
    return msgspec.structs.replace(
        answer, state=State.PENDING, reason=None, tracking=None, version=1, updated_at=answer.created_at
    )
