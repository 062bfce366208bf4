"""The record of deliveries that failed, kept beside the state they failed to change.

The broker counts deliveries too, but its count cannot be read by a person, forgets the reason, and is lost when
a parked message is published again.
"""

import asyncpg
import msgspec

from services.shared.messaging.transaction import Connection


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
    subject: object | None,
    limit: int | None,
) -> tuple[int, bool]:
    """Count one failure. Returns the attempts so far and whether that was the last one allowed.

    `limit` None parks at once. A message that had left its queue, and is back because somebody replayed it, starts
    again at one.
    """
    row: asyncpg.Record | None = await connection.fetchrow(
        """
        INSERT INTO failures AS f (consumer, key, event_type, subject, attempts, reason, state)
        VALUES ($1, $2, $3, $4, 1, $5, CASE WHEN $6::int IS NULL OR 1 >= $6 THEN 'parked' ELSE 'retrying' END)
        ON CONFLICT (consumer, key) DO UPDATE SET
            attempts = CASE WHEN f.state IN ('parked', 'replayed', 'dropped') THEN 1 ELSE f.attempts + 1 END,
            reason = excluded.reason,
            last_at = now(),
            state = CASE
                WHEN $6::int IS NULL
                    OR CASE WHEN f.state IN ('parked', 'replayed', 'dropped') THEN 1 ELSE f.attempts + 1 END >= $6
                THEN 'parked' ELSE 'retrying' END
        RETURNING attempts, state = 'parked'
        """,
        consumer,
        key,
        event_type,
        subject,
        reason[:2000],
        limit,
    )
    if row is None:
        raise AssertionError("an upsert returns its row")
    return row[0], row[1]


async def succeeded(connection: Connection, consumer: str, keys: list[str]) -> None:
    """A delivery that had failed got through after all."""
    await connection.execute(
        "UPDATE failures SET state = 'succeeded', last_at = now() WHERE consumer = $1 AND key = ANY($2::text[])",
        consumer,
        keys,
    )
