"""What a consumer has already processed. See `transaction` for where this insert belongs."""

from collections.abc import Iterable
from operator import attrgetter
from uuid import UUID

from warren_messaging.postgres.values import array_literal
from warren_messaging.transaction import Connection


async def remember(connection: Connection, consumer: str, dedup_keys: Iterable[UUID]) -> set[UUID]:
    """Note the ids as processed; returns those that are new.

    A repetition that runs in another transaction at the same time waits here for that one to end, and is new
    if it was rolled back. Ids are inserted in order, so two batches cannot wait for each other in a circle.
    """
    rows = await connection.fetch(
        "INSERT INTO inbox (consumer, dedup_key) SELECT $1, unnest($2::text::uuid[])"
        " ON CONFLICT DO NOTHING RETURNING dedup_key",
        consumer,
        array_literal(sorted(dedup_keys, key=attrgetter("int"))),
    )
    return {row[0] for row in rows}


async def known(connection: Connection, consumer: str, dedup_keys: Iterable[UUID]) -> set[UUID]:
    """Those of the ids that are processed already."""
    rows = await connection.fetch(
        "SELECT dedup_key FROM inbox WHERE consumer = $1 AND dedup_key = ANY($2::text::uuid[])",
        consumer,
        array_literal(dedup_keys),
    )
    return {row[0] for row in rows}
