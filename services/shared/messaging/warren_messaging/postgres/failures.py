"""The table `failures`: deliveries that failed, with the reason and the number of attempts.

The broker counts deliveries too, but without a reason, and its count ends when a parked message is published again.
"""

from uuid import UUID

import asyncpg
import msgspec

from warren_messaging.postgres.values import text_value
from warren_messaging.transaction import Connection


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often a delivery is tried before it is parked. The queue (`retry` in a topology file) sets the growing
    delays between attempts."""

    attempts: int = 6
    """Attempts before a delivery is parked, at least 1."""


async def record(
    connection: Connection,
    consumer: str,
    key: str,
    reason: str,
    *,
    event_type: str | None,
    subject: UUID | None,
    limit: int | None,
    replays: int = 0,
) -> tuple[int, bool]:
    """Count one failure. Returns the number of attempts and whether the message is to be parked.

    `limit` None parks at once. `replays` tells how often the message was replayed; each replay starts again at one.
    Copies of one message share their attempts. Once one copy is parked, the others are parked at their next failure.
    None is dropped: a copy looks like the message itself, redelivered after a crash on its way to the parking lot.
    """
    row: asyncpg.Record | None = await connection.fetchrow(
        """
        INSERT INTO failures AS f (consumer, key, event_type, subject, attempts, reason, state, replays)
        VALUES ($1, $2, $3, $4, 1, $5, CASE WHEN $6::int IS NULL OR 1 >= $6 THEN 'parked' ELSE 'retrying' END, $7)
        ON CONFLICT (consumer, key) DO UPDATE SET
            attempts = CASE WHEN f.state = 'dropped' OR $7 > f.replays THEN 1 ELSE f.attempts + 1 END,
            reason = excluded.reason,
            last_at = now(),
            replays = greatest(f.replays, $7),
            state = CASE
                WHEN $6::int IS NULL
                    OR (f.state = 'parked' AND $7 <= f.replays)
                    OR CASE WHEN f.state = 'dropped' OR $7 > f.replays THEN 1 ELSE f.attempts + 1 END >= $6
                THEN 'parked' ELSE 'retrying' END
        RETURNING attempts, state = 'parked'
        """,
        consumer,
        text_value(key),
        None if event_type is None else text_value(event_type),
        subject,
        text_value(reason[:2000]),
        limit,
        replays,
    )
    if row is None:
        raise AssertionError("an upsert returns its row")
    return row[0], row[1]


async def succeeded(connection: Connection, consumer: str, keys: list[str]) -> None:
    """Mark failures of deliveries that have succeeded since."""
    await connection.execute(
        "UPDATE failures SET state = 'succeeded', last_at = now() WHERE consumer = $1 AND key = ANY($2::text[])",
        consumer,
        [text_value(key) for key in keys],
    )
