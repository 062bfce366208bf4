"""SQLAlchemy's asynchronous session in the transaction of a handler. Needs the package `sqlalchemy[asyncio]`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool

from warren_messaging.transaction import Connection


@asynccontextmanager
async def sqlalchemy_session(connection: Connection) -> AsyncIterator[AsyncSession]:
    """Lend the connection of a transaction to a session for a block: `async with sqlalchemy_session(uow.connection)`.

    What the session writes is committed with the inbox and the events of the transaction, or not at all. At the end of
    the block, and at each `session.commit()`, SQLAlchemy only releases a savepoint. If the block raises, it rolls back
    to the last one. Nothing else may use the connection within the block. The driver's errors leave the block
    unwrapped, so that the library recognises deadlocks, refused values and an unavailable database.
    """
    token = _lent.set(_LentConnection(connection))
    try:
        async with AsyncSession(_engine(), expire_on_commit=False) as session:
            try:
                yield session
                await session.commit()
            except BaseException:
                await session.rollback()
                raise
    except DBAPIError as error:
        raise getattr(error.orig, "__cause__", None) or error from error
    finally:
        _lent.reset(token)


class _LentConnection:
    """The connection, except that SQLAlchemy cannot close it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def close(self, **_: Any) -> None:
        """Do nothing: the transaction goes on."""

    def terminate(self) -> None:
        """Do nothing: a lost connection is replaced by its pool."""


_lent: ContextVar[_LentConnection] = ContextVar("_lent")


@cache
def _engine() -> AsyncEngine:
    async def lent_connection(*_: Any) -> Any:
        return _lent.get()

    return create_async_engine("postgresql+asyncpg://", async_creator=lent_connection, poolclass=NullPool)
