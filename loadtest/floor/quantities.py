"""How many messages and rows an order makes, counted in the broker's consumers and the database after a run."""

from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from devtools.servers.endpoints import DatabaseEndpoint
from services.registry import SERVICE_NAMES

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

MARKS = ("inbox", "sequences")
EVENTS = ("outbox", "events")


class Quantities(msgspec.Struct, frozen=True):
    """For each order on average."""

    published: float
    consumed: float
    marks: float
    """Rows that hold an id and little else: inbox, sequences."""
    events: float
    """Rows that hold a whole event: outbox, audit log."""
    states: float
    """Rows of the services' own tables."""
    updated: float = 0.0
    """Row versions that an UPDATE wrote. The floor does without: it inserts each row once, as it is in the end."""

    @property
    def rows(self) -> float:
        return self.marks + self.events + self.states


TYPICAL = Quantities(published=14, consumed=33, marks=38, events=24, states=15, updated=18)
"""Of an order that is completed, for `python -m loadtest floor` alone; `orders` counts anew."""


async def counted(database: DatabaseEndpoint, orders: int) -> Quantities:
    """From the statistics of a database that has seen nothing but this run.

    They are complete once the services' connections have ended.
    """
    connection = await asyncpg.connect(database.dsn())
    try:
        published = consumed = 0
        for name in SERVICE_NAMES:
            published += await connection.fetchval(f'SELECT coalesce(sum(last), 0) FROM "{name}".sequences')  # noqa: S608
            consumed += await connection.fetchval(f'SELECT count(*) FROM "{name}".inbox')  # noqa: S608
        tables = await connection.fetch(
            "SELECT relname, sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint FROM pg_stat_user_tables"
            # The last is the notebook of what removes old rows, by the clock and whatever is ordered.
            " WHERE relname NOT LIKE '%migrations' AND relname NOT IN ('stock', 'retention') GROUP BY relname"
        )
    finally:
        await connection.close()
    inserted = {name: rows for name, rows, _ in tables}
    return Quantities(
        published=published / orders,
        consumed=consumed / orders,
        marks=sum(inserted.get(name, 0) for name in MARKS) / orders,
        events=sum(inserted.get(name, 0) for name in EVENTS) / orders,
        states=sum(rows for name, rows in inserted.items() if name not in MARKS + EVENTS) / orders,
        updated=sum(updated for _, _, updated in tables) / orders,
    )
