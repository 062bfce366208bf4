"""Reads the state of a service's database for reports. Changes nothing."""

import time

import msgspec

from warren_messaging.postgres.migrations import tables
from warren_messaging.transaction import Connection

MIN_SERVER_VERSION = 16
"""Major version of PostgreSQL."""


class UnpublishedEvents(msgspec.Struct, frozen=True):
    """Events that have waited in the outbox for longer than a given time."""

    count: int
    oldest_seconds: float
    reason: str | None
    """Why the broker did not take the oldest event for which that is known."""


async def clock_difference(connection: Connection) -> float:
    """Return by how many seconds the database's clock is ahead of this process's, with half a round trip of error."""
    before = time.time()
    there = float(await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())"))
    return there - (before + time.time()) / 2


async def missing_rights(connection: Connection) -> list[str]:
    """Return the rights that the role lacks on the library's tables, such as `INSERT on outbox`."""
    rows = await connection.fetch(
        "SELECT r || ' on ' || t FROM unnest($1::text[]) AS t,"
        " unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r"
        " WHERE to_regclass(t) IS NOT NULL AND NOT has_table_privilege(to_regclass(t), r) ORDER BY 1",
        tables(),
    )
    return [row[0] for row in rows]


async def unpublished(connection: Connection, seconds: float) -> UnpublishedEvents:
    """Return the events that have waited in the outbox for more than `seconds`."""
    row = await connection.fetchrow(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8,"
        " (array_agg(last_error ORDER BY position) FILTER (WHERE last_error IS NOT NULL))[1]"
        " FROM outbox WHERE created_at < now() - make_interval(secs => $1)",
        seconds,
    )
    assert row is not None  # noqa: S101 - an aggregate returns one row
    return UnpublishedEvents(*row)
