"""The record of deliveries that failed, kept beside the state they failed to change.

The broker counts deliveries too, but its count cannot be read by a person, forgets the reason, and is lost when
a parked message is published again.
"""

from uuid import UUID

import asyncpg
import msgspec

from warren_messaging.postgres.values import text_value
from warren_messaging.transaction import Connection


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often a delivery is tried before it is parked. The waits between are the queue's (topology files:
    `retry`), growing with each attempt."""

    attempts: int = 6


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
    """Count one failure. Returns the attempts so far and whether that was the last one allowed.

    `limit` None parks at once. `replays` is how often the message came out of a parking lot: each time it begins again
    at one. Copies of one message share their tries. Once one of them is parked, the others are parked when they fail
    next: none of them is dropped, since a copy looks like the message itself, back after a crash on its way to the
    parking lot.
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
    """A delivery that had failed got through after all."""
    await connection.execute(
        "UPDATE failures SET state = 'succeeded', last_at = now() WHERE consumer = $1 AND key = ANY($2::text[])",
        consumer,
        [text_value(key) for key in keys],
    )
