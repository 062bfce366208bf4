"""Reading orders for their customers. Every read sees all that was committed before it."""

import base64
import binascii
from uuid import UUID

from services.order.answers import COLUMNS, OrderAnswer, OrderPage, answer_of
from services.order.domain import State
from warren_messaging.postgres.database import Database


class BadCursor(ValueError):
    """The text is no cursor of ours."""


class Queries:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, identity: UUID) -> OrderAnswer | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {COLUMNS} FROM orders WHERE id = $1", identity)  # noqa: S608
        return None if row is None else answer_of(row)

    async def page(
        self,
        *,
        limit: int,
        customer: str | None = None,
        reference: str | None = None,
        state: State | None = None,
        cursor: str | None = None,
    ) -> OrderPage:
        """Newest first: ids are ordered by time. Raises BadCursor."""
        values: list[object] = [limit + 1]
        conditions = ["true"]
        for condition, value in (
            ("customer = ", customer),
            ("reference = ", reference),
            ("state = ", state),
            ("id < ", None if cursor is None else _after(cursor)),
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
        orders = [answer_of(row) for row in rows[:limit]]
        return OrderPage(orders=orders, next=_cursor(orders[-1].id) if len(rows) > limit else None)


def _cursor(last: UUID) -> str:
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def _after(cursor: str) -> UUID:
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise BadCursor(cursor) from None
