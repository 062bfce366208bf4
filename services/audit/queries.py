"""Reads the log for the API."""

import base64
import binascii
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from services.audit.domain import SequenceGap, SequenceKey, find_gaps
from warren_messaging.postgres.database import Database

MAX_EVENTS_PER_ORDER = 1000
"""Further events of an order are not shown; an order has about twenty."""
MAX_ORDERS = 100

Position = tuple[datetime, UUID]
"""An event's time, to the microsecond, and its id."""
FIRST: Position = (datetime(1, 1, 2, tzinfo=UTC), UUID(int=0))
LAST: Position = (datetime(9999, 12, 30, tzinfo=UTC), UUID(int=2**128 - 1))

CURSOR_LENGTH = 32  # characters
_CURSOR = struct.Struct(">q16s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_cursor(position: Position) -> str:
    time, event_id = position
    return base64.urlsafe_b64encode(_CURSOR.pack((time - _EPOCH) // timedelta(microseconds=1), event_id.bytes)).decode()


def from_cursor(text: str) -> Position:
    """Raises ValueError for a text that `to_cursor` has not made."""
    try:
        microseconds, event_id = _CURSOR.unpack(base64.urlsafe_b64decode(text))
        return _EPOCH + timedelta(microseconds=microseconds), UUID(bytes=event_id)
    except (binascii.Error, struct.error, OverflowError) as error:
        raise ValueError("not a position in the log") from error


class LoggedEvent(msgspec.Struct, frozen=True, rename="camel"):
    recorded_at: datetime
    event: Any
    """The CloudEvent as it was received; payment tokens and addresses are `"***"`."""


class OrderHistory(msgspec.Struct, frozen=True, rename="camel"):
    """All events of one order, by the time of the events."""

    subject: UUID
    events: list[LoggedEvent]
    gaps: list[SequenceGap]
    contradictions: list[LoggedEvent]


class EventFilter(msgspec.Struct, frozen=True):
    """Selects events; None selects all. `after` is the position of the last event of the previous page."""

    type: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: Position | None = None
    limit: int = 100
    newest_first: bool = True


class AuditQueries:
    """Raises DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, order_id: UUID) -> OrderHistory:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT recorded_at, body, source, sequence FROM events WHERE subject = $1"
                " ORDER BY time, source, sequence LIMIT $2",
                order_id,
                MAX_EVENTS_PER_ORDER,
            )
            contradictions = await connection.fetch(
                "SELECT recorded_at, body FROM contradictions WHERE subject = $1 ORDER BY time LIMIT $2",
                order_id,
                MAX_EVENTS_PER_ORDER,
            )
        gaps = find_gaps(SequenceKey(source, order_id, sequence) for _, _, source, sequence in rows)
        return OrderHistory(order_id, _logged(rows), gaps, _logged(contradictions))

    async def order_ids(self, reference: str) -> list[UUID]:
        """Orders with this reference, newest first, at most MAX_ORDERS."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT subject FROM events WHERE reference = $1 AND type = 'order.created'"
                " ORDER BY time DESC, subject LIMIT $2",
                reference,
                MAX_ORDERS,
            )
        return list(dict.fromkeys(row["subject"] for row in rows))

    async def page(self, wanted: EventFilter) -> tuple[list[LoggedEvent], Position | None]:
        """Returns the events after `wanted.after`, and the position of the last one, None on the last page.

        A page is found by its position, so all pages cost the same.
        """
        after_time, after_id = wanted.after or (LAST if wanted.newest_first else FIRST)
        beyond, order = ("<", "DESC") if wanted.newest_first else (">", "ASC")
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT recorded_at, body, time, id FROM events"  # noqa: S608
                " WHERE ($1::text IS NULL OR type = $1) AND ($2::text IS NULL OR source = $2)"
                " AND time >= coalesce($3::timestamptz, '-infinity') AND time < coalesce($4::timestamptz, 'infinity')"
                f" AND (time, id) {beyond} ($5, $6)"
                f" ORDER BY time {order}, id {order} LIMIT $7",
                wanted.type,
                wanted.source,
                wanted.since,
                wanted.until,
                after_time,
                after_id,
                wanted.limit + 1,
            )
        shown = rows[: wanted.limit]
        last = (shown[-1]["time"], shown[-1]["id"]) if len(rows) > wanted.limit else None
        return _logged(shown), last

    async def gaps(self, since: datetime | None, limit: int) -> list[SequenceGap]:
        """Gaps in the events of all orders, or of orders with an event since then; at most `limit`."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT source, subject, before + 1, sequence - 1 FROM ("
                "  SELECT source, subject, sequence,"
                "   lag(sequence, 1, 0) OVER (PARTITION BY source, subject ORDER BY sequence) AS before"
                "  FROM events WHERE $1::timestamptz IS NULL"
                "   OR subject IN (SELECT subject FROM events WHERE time >= $1)"
                " ) AS numbered WHERE sequence > before + 1 ORDER BY subject, source, sequence LIMIT $2",
                since,
                limit,
            )
        return [SequenceGap(*row) for row in rows]


def _logged(rows: Iterable[Any]) -> list[LoggedEvent]:
    # Older versions stored events without checking that they are UTF-8.
    return [LoggedEvent(row["recorded_at"], msgspec.Raw(row["body"].decode(errors="replace"))) for row in rows]
