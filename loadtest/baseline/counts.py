"""Messages and rows of an order, counted in the database after a run."""

import msgspec

from devtools.servers.endpoints import DatabaseEndpoint
from services.registry import SERVICE_NAMES

ID_TABLES = ("inbox", "sequences")
EVENT_TABLES = ("outbox", "events", "scheduled")


class CountsPerOrder(msgspec.Struct, frozen=True):
    """Averages for each order."""

    published: float
    consumed: float
    ids: float
    """Rows with an id and little else: inbox, sequences."""
    events: float
    """Rows with a whole event: outbox, audit log, scheduled messages."""
    states: float
    """Rows of the services' own tables."""
    updated: float = 0.0
    """Row versions that an UPDATE wrote. The baseline has none: it inserts the final state of each row."""


TYPICAL = CountsPerOrder(published=14, consumed=34, ids=39, events=25, states=16, updated=18)
"""Counts of a typical completed order, used by `python -m loadtest baseline`. `orders` counts those of its own run."""


async def count(database: DatabaseEndpoint, orders: int) -> CountsPerOrder:
    """Count the rows of a run. The database must hold no other run, and its services must have disconnected."""
    async with database.connection() as connection:
        published = consumed = 0
        for name in SERVICE_NAMES:
            published += await connection.fetchval(f'SELECT coalesce(sum(last), 0) FROM "{name}".sequences')  # noqa: S608
            consumed += await connection.fetchval(f'SELECT count(*) FROM "{name}".inbox')  # noqa: S608
        tables = await connection.fetch(
            "SELECT relname, sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint FROM pg_stat_user_tables"
            # The rows of `retention` depend on the time, not on the orders.
            " WHERE relname NOT LIKE '%migrations' AND relname NOT IN ('stock', 'retention') GROUP BY relname"
        )
    inserted = {name: rows for name, rows, _ in tables}
    return CountsPerOrder(
        published=published / orders,
        consumed=consumed / orders,
        ids=sum(inserted.get(name, 0) for name in ID_TABLES) / orders,
        events=sum(inserted.get(name, 0) for name in EVENT_TABLES) / orders,
        states=sum(rows for name, rows in inserted.items() if name not in ID_TABLES + EVENT_TABLES) / orders,
        updated=sum(updated for _, _, updated in tables) / orders,
    )
