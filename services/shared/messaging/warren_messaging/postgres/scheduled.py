"""The table `scheduled`: events that are published at a later time. The database's clock decides what is due."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from uuid import UUID

import asyncpg
import msgspec

from warren_messaging.postgres.values import array_literal
from warren_messaging.transaction import Connection

# `held` are subjects of which another transaction holds an earlier row: it moves or cancels that row, and the later
# ones wait for it, so that the events of a subject get their numbers in the order of their times.
LOCK_DUE = """
WITH due AS MATERIALIZED (
    SELECT id, position, due_at, subject, exchange, body, expires_ms FROM scheduled
    WHERE due_at <= now() + make_interval(secs => $2) ORDER BY due_at, position LIMIT $1 FOR UPDATE SKIP LOCKED
), held AS (
    SELECT subject FROM scheduled
    WHERE (due_at, position) < (SELECT due_at, position FROM due ORDER BY due_at DESC, position DESC LIMIT 1)
        AND id NOT IN (SELECT id FROM due)
)
SELECT id, exchange, body, expires_ms FROM due WHERE subject NOT IN (SELECT subject FROM held)
ORDER BY due_at, position
"""


class ScheduledRow(msgspec.Struct, frozen=True):
    id: UUID
    due_at: datetime
    event_type: str
    subject: UUID
    exchange: str
    body: bytes
    expires_ms: int | None


async def insert(connection: Connection, rows: Sequence[ScheduledRow]) -> None:
    """Store rows. Rows with equal times keep the order in which they are given."""
    await connection.execute(
        "INSERT INTO scheduled (id, due_at, event_type, subject, exchange, body, expires_ms)"
        " SELECT * FROM unnest($1::text::uuid[], $2::timestamptz[], $3::text[], $4::text::uuid[], $5::text[],"
        " $6::bytea[], $7::text::int[])",
        array_literal([row.id for row in rows]),
        [row.due_at for row in rows],
        [row.event_type for row in rows],
        array_literal([row.subject for row in rows]),
        [row.exchange for row in rows],
        [row.body for row in rows],
        array_literal([row.expires_ms for row in rows]),
    )


async def lock_due(connection: Connection, limit: int, ahead: float = 0.0) -> list[asyncpg.Record]:
    """Lock and return due rows, at most `limit`, in the order of their times: id, exchange, body, expires_ms.

    Leaves out rows that another transaction holds, and later rows of the same subjects. `ahead` adds rows that are due
    within this many seconds: tests advance the time with it.
    """
    return await connection.fetch(LOCK_DUE, limit, ahead)


async def find(connection: Connection) -> list[asyncpg.Record]:
    """Return all rows in the order of their times: id, due_at, exchange, body."""
    return await connection.fetch("SELECT id, due_at, exchange, body FROM scheduled ORDER BY due_at, position")


async def delete(connection: Connection, ids: Iterable[UUID]) -> None:
    """Delete rows, in the order of their ids: two transactions that delete the same rows cannot deadlock."""
    await connection.execute(
        "DELETE FROM scheduled WHERE id IN"
        " (SELECT id FROM scheduled WHERE id = ANY($1::text::uuid[]) ORDER BY id FOR UPDATE)",
        array_literal(sorted(ids, key=attrgetter("int"))),
    )


async def delete_about(connection: Connection, keys: Iterable[tuple[UUID, str]]) -> None:
    """Delete the rows of these subjects and event types; the order of locks is that of `delete`."""
    ordered = sorted(keys)
    await connection.execute(
        "DELETE FROM scheduled WHERE id IN (SELECT s.id FROM scheduled AS s"
        " JOIN unnest($1::text::uuid[], $2::text[]) AS cancelled (subject, event_type) USING (subject, event_type)"
        " ORDER BY s.id FOR UPDATE OF s)",
        array_literal([subject for subject, _ in ordered]),
        [event_type for _, event_type in ordered],
    )


async def postpone(connection: Connection, ids: Iterable[UUID], seconds: float) -> None:
    """Make rows due this many seconds from now."""
    await connection.execute(
        "UPDATE scheduled SET due_at = now() + make_interval(secs => $2) WHERE id = ANY($1::text::uuid[])",
        array_literal(ids),
        seconds,
    )
