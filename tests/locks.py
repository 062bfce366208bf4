"""Locks of a database, held and tested from another connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.messaging_env import eventually
from warren_messaging.transaction import Connection


class LockProbe:
    """Statements run as the owner of the database; table names need their schema."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @asynccontextmanager
    async def hold(self, statement: str, *arguments: object) -> AsyncIterator[Connection]:
        """Hold the locks of the statement within the block, then roll it back."""
        async with self._rolled_back() as connection:
            await connection.execute(statement, *arguments)
            yield connection

    async def can_lock(self, statement: str, *arguments: object) -> bool:
        """Return whether the statement gets its locks now."""
        async with self._rolled_back() as connection:
            await connection.execute("SET LOCAL lock_timeout = '100ms'")
            try:
                await connection.execute(statement, *arguments)
            except asyncpg.LockNotAvailableError:
                return False
            return True

    async def wait_for_blocked(self) -> None:
        """Return as soon as a transaction of the database waits for a lock."""
        connection = await asyncpg.connect(self._dsn)

        async def blocked() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT count(*) > 0 FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            )

        try:
            await eventually(blocked, what="no transaction waits for a lock")
        finally:
            await connection.close()

    @asynccontextmanager
    async def _rolled_back(self) -> AsyncIterator[Connection]:
        connection = await asyncpg.connect(self._dsn)
        transaction = connection.transaction()
        await transaction.start()
        try:
            yield connection
        finally:
            await connection.close(timeout=5)
