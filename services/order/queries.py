"""Reads orders for the API. A read sees every transaction that was committed before it."""

import base64
import binascii
from typing import Any
from uuid import UUID

import msgspec

from services.order.domain import FINISHED, UNDECIDED, OrderState
from services.order.errors import InvalidCursor
from services.order.responses import OrderPage, OrderResponse, PricedLine
from services.shared.contracts.orders import CancelReason
from warren_messaging.postgres.database import Database
from warren_messaging.transaction import Connection

COLUMNS = (
    "id AS order_id, reference, customer, state, reason, lines, total_cents, currency, express, tracking, version,"
    " created_at, updated_at"
)

DECISION_SECONDS = 60.0
"""The objective: an order is paid, or cancelled without a payment, within this time."""
MAX_UNFINISHED = 100_000  # orders; a count beyond it would cost more than the number is worth

_lines = msgspec.json.Decoder(list[PricedLine])


def response_of(row: Any) -> OrderResponse:
    """Convert a row that has at least COLUMNS."""
    fields = {name: row[name] for name in OrderResponse.__struct_fields__}
    fields["state"] = OrderState(row["state"])
    fields["reason"] = CancelReason(row["reason"]) if row["reason"] else None
    fields["lines"] = _lines.decode(row["lines"])
    return OrderResponse(**fields)


class OrderFilter(msgspec.Struct, frozen=True):
    """Selects orders. A field that is None does not restrict the selection. `cursor` is `next` of the previous page."""

    limit: int
    customer: str | None = None
    reference: str | None = None
    state: OrderState | None = None
    cursor: str | None = None


class OrderQueries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, order_id: UUID) -> OrderResponse | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {COLUMNS} FROM orders WHERE id = $1", order_id)  # noqa: S608
        return None if row is None else response_of(row)

    async def page(self, wanted: OrderFilter) -> OrderPage:
        """Return a page of orders, newest first: ids are ordered by time. Raises InvalidCursor."""
        values: list[object] = [wanted.limit + 1]
        conditions = ["true"]
        for condition, value in (
            ("customer = ", wanted.customer),
            ("reference = ", wanted.reference),
            ("state = ", wanted.state),
            ("id < ", None if wanted.cursor is None else _from_cursor(wanted.cursor)),
        ):
            if value is not None:
                values.append(value)
                conditions.append(f"{condition}${len(values)}")
        where = " AND ".join(conditions)
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {COLUMNS} FROM orders WHERE {where} ORDER BY id DESC LIMIT $1",  # noqa: S608
                *values,
            )
        orders = [response_of(row) for row in rows[: wanted.limit]]
        return OrderPage(orders=orders, next=_to_cursor(orders[-1].order_id) if len(rows) > wanted.limit else None)


UNFINISHED_ORDERS = """
SELECT state, count(*), extract(epoch FROM now() - min(created_at))::float8,
    count(*) FILTER (WHERE reached = ANY($2::text[]) AND created_at < now() - make_interval(secs => $3))
FROM (SELECT state, reached, created_at FROM orders WHERE NOT finished ORDER BY created_at LIMIT $1) AS oldest
GROUP BY state
"""


class UnfinishedState(msgspec.Struct, frozen=True):
    """The unfinished orders in one state."""

    orders: int = 0
    oldest_seconds: float = 0.0
    """Time since the oldest of them was accepted, 0 without one."""
    overdue: int = 0
    """Those that were accepted more than DECISION_SECONDS ago and are not decided."""


async def unfinished_orders(connection: Connection) -> dict[OrderState, UnfinishedState]:
    """Return the unfinished orders by state. Reads the oldest MAX_UNFINISHED, so the query stays cheap."""
    rows = await connection.fetch(UNFINISHED_ORDERS, MAX_UNFINISHED, UNDECIDED, DECISION_SECONDS)
    found = {OrderState(state): UnfinishedState(*values) for state, *values in rows}
    return {state: found.get(state, UnfinishedState()) for state in OrderState if state not in FINISHED}


def _to_cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _from_cursor(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise InvalidCursor("cursor is invalid: use the value of `next` in the previous page.") from None
