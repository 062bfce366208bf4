"""Warren with a past: a flow whose progress is read from what is new, at a cost that does not depend on the rest."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Self
from uuid import UUID

import asyncpg

from devtools import invariants
from devtools.invariants import Check
from devtools.local.topology import VHOST
from loadtest.orders import exactness
from loadtest.orders.ours import SETTLING_SECONDS, Connection, Ours
from loadtest.size import backlog, history
from warren.progress import ProgressReport
from warren_messaging import new_id

AWAY = "email"
"""Whose messages wait: a mail server that is not there for long is the likeliest reason for a long queue."""


class Sized(Ours):
    """The system, from empty; `past` or `wait` give it size. Without its consumer a queue grows: `away` names it."""

    def __init__(self, folder: Path, report: ProgressReport, *, away: str | None = None) -> None:
        super().__init__(folder, report)
        self._away = away

    def __enter__(self) -> Self:
        super().__enter__()
        if self._away is not None:
            self.system.processes.stop(self._away)
        self._since = new_id()
        return self

    async def past(self, rows: int, on_table: Callable[[float, str], None]) -> int:
        """As many rows in every table that grows; returns how many in all."""
        total = await history.fill(self.servers.postgres.address, rows, on_table)
        self._since = new_id()
        return total

    async def wait(self, messages: int, on_progress: Callable[[float], None]) -> None:
        """As many messages in the queue of who is away."""
        await backlog.fill(self.servers.broker.address, VHOST, f"{AWAY}.queue", messages, on_progress)
        self._received = await exactness.received(self.servers.broker.address)

    async def waiting(self) -> int:
        """Messages in that queue."""
        return await backlog.depth(self.servers.broker.address, VHOST, f"{AWAY}.queue")

    async def read_through(self) -> dict[str, int]:
        """Rows that were read without an index since the tables were made, by table."""
        connection = await asyncpg.connect(self.servers.postgres.address.dsn())
        try:
            return {
                f"{schema}.{table}": rows
                for schema, table, rows in await connection.fetch(
                    "SELECT schemaname, relname, seq_tup_read FROM pg_stat_user_tables"
                )
            }
        finally:
            await connection.close()

    async def completed(self) -> int:
        return int(await self._new("SELECT count(*) FROM \"order\".orders WHERE id >= $1 AND state = 'COMPLETED'"))

    async def last_completed_at(self) -> float:
        return float(await self._new('SELECT extract(epoch FROM max(updated_at)) FROM "order".orders WHERE id >= $1'))

    async def _inboxes(self, connection: Connection) -> Check:
        return await exactness.inboxes(connection, self._since, self._consumers_away)

    async def judge(self, accepted: Collection[UUID]) -> list[Check]:
        """The invariants over old orders and new, once; what waits for who is away is removed before."""
        database, broker = self.servers.postgres.address, self.servers.broker.address
        if self._away is not None:
            await backlog.depth(broker, VHOST, f"{AWAY}.queue", purge=True)
        checks = await invariants.settled(database, broker, seconds=SETTLING_SECONDS, accepted=accepted)
        return checks + await exactness.judge(self.system, self._received, self._since, self._consumers_away)

    @property
    def _consumers_away(self) -> Collection[str]:
        return () if self._away is None else (self._away,)

    async def _new(self, statement: str) -> Any:
        connection = await asyncpg.connect(self.servers.postgres.address.dsn())
        try:
            return await connection.fetchval(statement, self._since)
        finally:
            await connection.close()
