"""A database that goes away in the middle of things: whoever worked on it hears that, and nothing else."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import asyncpg
import pytest

from faults.proxy import FaultProxy
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.locks import LockProbe
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging.errors import DatabaseUnavailable
from warren_messaging.outbox.relay import RelaySettings
from warren_messaging.postgres import database as messaging_database
from warren_messaging.postgres.database import Database
from warren_messaging.transaction import Connection, Transaction

Cut = Callable[[], Awaitable[None]]


@pytest.fixture
async def proxy(env: MessagingEnv) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(env.database_port).serving() as proxy:
        env.database_port = proxy.port
        yield proxy


@pytest.fixture
async def database(env: MessagingEnv, proxy: FaultProxy) -> AsyncIterator[Database]:
    database = env.database()
    await database.open()
    yield database
    await database.close()


async def in_a_statement(connection: Connection, cut: Cut) -> None:
    statement = asyncio.create_task(connection.execute("SELECT pg_sleep(20)"))
    await asyncio.sleep(0.2)
    await cut()
    await statement


async def between_statements(connection: Connection, cut: Cut) -> None:
    await cut()
    await connection.execute("SELECT 1")


async def before_the_end(connection: Connection, cut: Cut) -> None:
    await connection.execute("SELECT 1")
    await cut()


async def while_the_error_is_handled(connection: Connection, cut: Cut) -> None:
    await cut()
    with suppress(Exception):
        await connection.execute("SELECT 1")


@pytest.mark.parametrize("when", [in_a_statement, between_statements, before_the_end, while_the_error_is_handled])
@pytest.mark.parametrize("how", ["reset", "terminated"])
async def test_a_connection_that_breaks_is_a_database_that_is_away(
    env: MessagingEnv,
    database: Database,
    proxy: FaultProxy,
    when: Callable[[Connection, Cut], Awaitable[None]],
    how: str,
) -> None:
    async def cut() -> None:
        if how == "reset":
            proxy.cut()
        else:
            await env.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'probe'")
        await asyncio.sleep(0.1)  # until the client has seen it

    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as connection:
            await when(connection, cut)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_whoever_asks_while_the_server_says_goodbye_hears_the_same(env: MessagingEnv, database: Database) -> None:
    """The driver has an error of its own for a connection on which the goodbye has come, and the end has not."""
    heard: list[Exception] = []
    over = False

    async def ask() -> None:
        while not over:
            try:
                async with database.connection() as connection:
                    await connection.fetchval("SELECT 1")
            except Exception as error:  # noqa: BLE001 - that is what is looked at
                heard.append(error)
            await asyncio.sleep(0)

    asking = [asyncio.create_task(ask()) for _ in range(6)]
    for _ in range(30):
        await env.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'probe'")
    over = True
    await asyncio.gather(*asking)
    assert heard
    assert {type(error) for error in heard} == {DatabaseUnavailable}


async def test_a_connection_that_the_driver_gave_up_is_not_used_again(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="is ending"):
        async with database.connection() as connection:
            before = await connection.fetchval("SELECT pg_backend_pid()")
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") != before


async def test_a_lock_on_the_outbox_is_outlived_by_the_relay(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody alters the table, or forgot a transaction, for longer than a statement waits for a lock."""
    monkeypatch.setattr(messaging_database, "LOCK_TIMEOUT", 0.2)
    async with env.outbox(RelaySettings(lease_seconds=1.0, takeover_seconds=0.1)) as outbox:
        async with outbox.transaction(Transaction) as work:
            work.announce(OrderConfirmed(customer="gayal"), subject=uuid.uuid4())
        await env.sql("DO $$ BEGIN LOCK TABLE outbox; PERFORM pg_sleep(1); END $$")
        async with outbox.transaction(Transaction) as work:
            work.announce(OrderCompleted(customer="gayal"), subject=uuid.uuid4())

        async def none_waits() -> bool:
            return not await env.sql("SELECT FROM outbox")

        await eventually(none_waits, seconds=10)
    assert any("lock timeout" in text for text in env.telemetry.statuses)
    assert len(await env.drain("probe.queue")) == 2


async def test_rows_are_freed_although_the_server_waits_for_the_rest_of_an_exchange(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver prepares a statement and sends what ends the exchange only with its values. Should it be cut off or
    stand still in between, the server takes the session for one that is busy: its limit for idle ones does not count.
    """
    monkeypatch.setattr(messaging_database, "IDLE_TIMEOUT", 1)
    monkeypatch.setattr(messaging_database, "MAX_TRANSACTION", 2)
    locks = LockProbe(env.servers.postgres.address.dsn(env.database_name))
    lock = "SELECT FROM probe.shelf WHERE id = 1 FOR UPDATE"
    await env.sql("CREATE TABLE shelf (id int PRIMARY KEY)")
    await env.sql("INSERT INTO shelf VALUES (1)")
    await env.sql("GRANT ALL ON shelf TO probe")

    async def freed() -> bool:
        return await locks.can_lock(lock)

    database = env.database()
    await database.open()
    try:
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as connection:
                await connection.execute(lock)
                statement = await connection.prepare("SELECT $1::int")
                assert not await freed()
                await eventually(freed, seconds=10, what="the rows stay locked")
                await statement.fetchval(1)
    finally:
        await database.close()
