"""Questions to the log."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from services.audit.domain import Gap, Place, gaps
from warren_messaging.postgres.database import Database

MOST_PER_ORDER = 1000
"""More events than this about one order are not shown; an order has about twenty."""

BEGINNING = (datetime(1, 1, 2, tzinfo=UTC), UUID(int=0))
END = (datetime(9999, 12, 30, tzinfo=UTC), UUID(int=2**128 - 1))
"""Positions before and after every event."""

MAX_SUBJECTS = 100


class Kept(msgspec.Struct, frozen=True, rename="camel"):
    """An event with the time at which it was recorded here."""

    recorded_at: datetime
    event: Any
    """The CloudEvent as it was received; payment tokens and addresses are `"***"`."""


class Story(msgspec.Struct, frozen=True, rename="camel"):
    """All that is known of one order, in the order of the events' own times."""

    subject: UUID
    events: list[Kept]
    gaps: list[Gap]
    contradictions: list[Kept]


class Wanted(msgspec.Struct, frozen=True):
    """Which events; None asks for any. `after` is the position of the last event of the page before."""

    type: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: tuple[datetime, UUID] | None = None
    limit: int = 100
    newest_first: bool = True


class Reader:
    """Reads the log. Raises DatabaseUnavailable when it is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def story(self, subject: UUID) -> Story:
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT recorded_at, body, source, sequence FROM events WHERE subject = $1"
                " ORDER BY time, source, sequence LIMIT $2",
                subject,
                MOST_PER_ORDER,
            )
            others = await connection.fetch(
                "SELECT recorded_at, body FROM contradictions WHERE subject = $1 ORDER BY time LIMIT $2",
                subject,
                MOST_PER_ORDER,
            )
        missing = gaps(Place(source, subject, sequence) for _, _, source, sequence in rows)
        return Story(subject, _kept(rows), missing, _kept(others))

    async def subjects(self, reference: str) -> list[UUID]:
        """The orders that their customers call `reference`, the newest first; at most MAX_SUBJECTS."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                "SELECT subject FROM events WHERE reference = $1 AND type = 'order.created'"
                " ORDER BY time DESC, subject LIMIT $2",
                reference,
                MAX_SUBJECTS,
            )
        return list(dict.fromkeys(row["subject"] for row in rows))

    async def page(self, wanted: Wanted) -> tuple[list[Kept], tuple[datetime, UUID] | None]:
        """The next events in the wanted order of time, and the position to go on from, None at the end.

        Found by position, not by counting rows, so a page costs the same wherever it is.
        """
        after_time, after_id = wanted.after or (END if wanted.newest_first else BEGINNING)
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
        further = (shown[-1]["time"], shown[-1]["id"]) if len(rows) > wanted.limit else None
        return _kept(shown), further

    async def gaps(self, since: datetime | None, limit: int) -> list[Gap]:
        """What is missing, among the subjects that had an event since then; by subject, at most `limit`."""
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
        return [Gap(*row) for row in rows]


def _kept(rows: Iterable[Any]) -> list[Kept]:
    # A log may have rows of versions that did not check whether events are UTF-8.
    return [Kept(row["recorded_at"], msgspec.Raw(row["body"].decode(errors="replace"))) for row in rows]
