"""Warren with old rows or a long queue, whose progress is read at a cost that does not depend on them."""

from collections.abc import Callable, Collection
from uuid import UUID

from devtools.invariants import Check
from devtools.local.topology import VHOST
from loadtest.orders import exactly_once
from loadtest.orders.warren_system import WarrenSystem
from loadtest.size import backlog, history
from warren_messaging import new_id

STOPPED = "email"
"""The service whose queue grows: an outage of the mail server is the likeliest reason for a long queue."""
QUEUE = f"{STOPPED}.queue"


class PreloadedSystem(WarrenSystem):
    """Starts without data; `fill_tables` or `fill_queue` preload it."""

    async def fill_tables(self, rows: int, on_table: Callable[[float, str], None]) -> int:
        """Insert so many rows into every table that grows; returns the number of all rows."""
        total = await history.fill(self.servers.postgres.address, rows, on_table)
        self._since = new_id()
        return total

    async def fill_queue(self, messages: int, on_progress: Callable[[float], None]) -> None:
        """Publish so many messages to the queue of the stopped service."""
        await backlog.fill(self.servers.broker.address, VHOST, QUEUE, messages, on_progress)
        self._received = await exactly_once.received_messages(self.servers.broker.address)

    async def queue_depth(self) -> int:
        return await backlog.depth(self.servers.broker.address, VHOST, QUEUE)

    async def sequential_reads(self) -> dict[str, int]:
        """Rows read without an index so far, by table."""
        async with self.connection() as connection:
            rows = await connection.fetch("SELECT schemaname, relname, seq_tup_read FROM pg_stat_user_tables")
        return {f"{schema}.{table}": read for schema, table, read in rows}

    async def check_invariants(self, accepted: Collection[UUID]) -> list[Check]:
        """Check them over old and new orders, once: the messages of the stopped service are removed before."""
        if self._stopped:
            await backlog.depth(self.servers.broker.address, VHOST, QUEUE, purge=True)
        return await super().check_invariants(accepted)
