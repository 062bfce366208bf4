"""Locks of a database, seen and held from outside: what a transaction waits for, and what it has taken already."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.stage import eventually
from warren_messaging.transaction import Connection


class Locks:
    """Of one database. Statements run as its owner; names need their schema."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @asynccontextmanager
    async def held(self, statement: str, *arguments: object) -> AsyncIterator[Connection]:
        """What the statement locks stays locked within the block, and is as before after it."""
        async with self._rolled_back() as connection:
            await connection.execute(statement, *arguments)
            yield connection

    async def free(self, statement: str, *arguments: object) -> bool:
        """Whether the statement gets its locks now."""
        async with self._rolled_back() as connection:
            await connection.execute("SET LOCAL lock_timeout = '100ms'")
            try:
                await connection.execute(statement, *arguments)
            except asyncpg.LockNotAvailableError:
                return False
            return True

    async def somebody_waits(self) -> None:
        """Return as soon as a transaction waits for a lock."""
        connection = await asyncpg.connect(self._dsn)

        async def waits() -> bool:
            return bool(
                await connection.fetchval(
                    "SELECT count(*) > 0 FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                )
            )

        try:
            await eventually(waits, what="nobody waits for a lock")
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
