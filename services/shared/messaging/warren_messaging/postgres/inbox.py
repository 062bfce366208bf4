"""The table `inbox`: the dedup keys of the events that a consumer has processed."""

from collections.abc import Iterable
from operator import attrgetter
from uuid import UUID

from warren_messaging.postgres.values import array_literal
from warren_messaging.transaction import Connection


async def insert_keys(connection: Connection, consumer: str, dedup_keys: Iterable[UUID]) -> set[UUID]:
    """Store keys as processed, in the transaction of the effect. Returns the keys that are new.

    A repetition in a concurrent transaction waits for the end of that transaction, and is new if that was rolled back.
    Keys are inserted in order, so that two batches cannot wait for each other in a circle.
    """
    rows = await connection.fetch(
        "INSERT INTO inbox (consumer, dedup_key) SELECT $1, unnest($2::text::uuid[])"
        " ON CONFLICT DO NOTHING RETURNING dedup_key",
        consumer,
        array_literal(sorted(dedup_keys, key=attrgetter("int"))),
    )
    return {row[0] for row in rows}


async def find_keys(connection: Connection, consumer: str, dedup_keys: Iterable[UUID]) -> set[UUID]:
    """Return the keys that are stored."""
    rows = await connection.fetch(
        "SELECT dedup_key FROM inbox WHERE consumer = $1 AND dedup_key = ANY($2::text::uuid[])",
        consumer,
        array_literal(dedup_keys),
    )
    return {row[0] for row in rows}
