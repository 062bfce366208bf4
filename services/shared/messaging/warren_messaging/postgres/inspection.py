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


class Backlog(msgspec.Struct, frozen=True):
    """Events that wait in a service's database. Ages are by the database's clock."""

    outbox_events: int
    """Committed events that the broker has not confirmed."""
    outbox_oldest_seconds: float
    """Age of the oldest of these events, 0 without events."""
    scheduled_messages: int
    """Events that are published at a later time."""
    scheduled_overdue_seconds: float
    """How late the first of these is, 0 if none is due."""


class SweepProgress(msgspec.Struct, frozen=True):
    """A retention rule, and what its sweeps have done in all replicas."""

    rule: str
    removed: int
    """Rows that it has removed so far."""
    seconds_ago: float | None
    """Time since the last sweep of its whole table; None before the first one."""


async def backlog(connection: Connection, limit: int) -> Backlog:
    """Return the events that wait. Each number counts at most `limit` rows, so the query stays cheap."""
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT $1::bigint) AS first), coalesce("
        "extract(epoch FROM now() - (SELECT created_at FROM outbox ORDER BY position LIMIT 1)), 0)::float8,"
        " (SELECT count(*) FROM (SELECT FROM scheduled LIMIT $1::bigint) AS first), greatest(0,"
        "extract(epoch FROM now() - (SELECT due_at FROM scheduled ORDER BY due_at LIMIT 1)))::float8",
        limit,
    )
    assert row is not None  # noqa: S101 - a SELECT without FROM returns one row
    return Backlog(*row)


async def sweeps(connection: Connection) -> list[SweepProgress]:
    """Return the progress of every retention rule that has run."""
    rows = await connection.fetch(
        "SELECT name, removed, extract(epoch FROM now() - finished_at)::float8 FROM retention ORDER BY name"
    )
    return [SweepProgress(*row) for row in rows]


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
