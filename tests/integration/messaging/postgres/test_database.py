"""A lost database connection leads to DatabaseUnavailable and to no other error. Locks end with their holder."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import asyncpg
import msgspec
import pytest

from faults.proxy import FaultProxy
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.locks import LockProbe
from tests.messaging_env import MessagingEnv, announce, eventually
from warren_messaging.errors import ConfigurationError, DatabaseUnavailable
from warren_messaging.outbox.relay import RelaySettings
from warren_messaging.postgres import database as messaging_database
from warren_messaging.postgres.database import Database
from warren_messaging.transaction import Connection

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


async def during_a_statement(connection: Connection, cut: Cut) -> None:
    statement = asyncio.create_task(connection.execute("SELECT pg_sleep(20)"))
    await asyncio.sleep(0.2)
    await cut()
    await statement


async def between_statements(connection: Connection, cut: Cut) -> None:
    await cut()
    await connection.execute("SELECT 1")


async def before_the_commit(connection: Connection, cut: Cut) -> None:
    await connection.execute("SELECT 1")
    await cut()


async def after_a_suppressed_error(connection: Connection, cut: Cut) -> None:
    await cut()
    with suppress(Exception):
        await connection.execute("SELECT 1")


@pytest.mark.parametrize("when", [during_a_statement, between_statements, before_the_commit, after_a_suppressed_error])
@pytest.mark.parametrize("how", ["reset", "terminated"])
async def test_a_broken_connection_is_reported_as_an_unavailable_database(
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
        await asyncio.sleep(0.1)  # until the client notices

    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as connection:
            await when(connection, cut)
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1


async def test_a_query_on_a_connection_that_the_server_is_closing_fails_in_the_same_way(
    env: MessagingEnv, database: Database
) -> None:
    """The driver has an error of its own for a connection whose end the server has announced."""
    errors: list[Exception] = []
    stopped = False

    async def query() -> None:
        while not stopped:
            try:
                async with database.connection() as connection:
                    await connection.fetchval("SELECT 1")
            except Exception as error:  # noqa: BLE001 - every error is examined below
                errors.append(error)
            await asyncio.sleep(0)

    queries = [asyncio.create_task(query()) for _ in range(6)]
    for _ in range(30):
        await env.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'probe'")
    stopped = True
    await asyncio.gather(*queries)
    assert errors
    assert {type(error) for error in errors} == {DatabaseUnavailable}


async def test_a_connection_that_the_driver_cannot_use_is_replaced(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable, match="is ending"):
        async with database.connection() as connection:
            before = await connection.fetchval("SELECT pg_backend_pid()")
            raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") != before


async def test_the_relay_continues_after_a_long_lock_on_the_outbox(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messaging_database, "LOCK_TIMEOUT", 0.2)
    async with env.outbox(RelaySettings(lease_seconds=1.0, takeover_seconds=0.1)) as outbox:
        await announce(outbox, OrderConfirmed(customer="gayal"))
        await env.sql("DO $$ BEGIN LOCK TABLE outbox; PERFORM pg_sleep(1); END $$")
        await announce(outbox, OrderCompleted(customer="gayal"))
        await env.wait_for_outbox(0, seconds=10)
    assert any("lock timeout" in text for text in env.telemetry.statuses)
    assert len(await env.drain("probe.queue")) == 2


async def test_locks_end_with_a_client_that_stops_in_the_middle_of_an_exchange(
    env: MessagingEnv, locks: LockProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver prepares a statement and ends the exchange only with the values. If it stops in between, the server
    regards the session as busy, so its limit for idle sessions does not apply."""
    monkeypatch.setattr(messaging_database, "IDLE_TIMEOUT", 1)
    monkeypatch.setattr(messaging_database, "MAX_TRANSACTION", 2)
    lock = "SELECT FROM probe.shelf WHERE id = 1 FOR UPDATE"
    await env.sql("CREATE TABLE shelf (id int PRIMARY KEY)")
    await env.sql("INSERT INTO shelf VALUES (1)")
    await env.sql("GRANT ALL ON shelf TO probe")

    async def unlocked() -> bool:
        return await locks.can_lock(lock)

    database = env.database()
    await database.open()
    try:
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as connection:
                await connection.execute(lock)
                statement = await connection.prepare("SELECT $1::int")
                assert not await unlocked()
                await eventually(unlocked, seconds=10, what="the rows stay locked")
                await statement.fetchval(1)
    finally:
        await database.close()


@pytest.mark.parametrize(
    "parameter", ["sslmode=none", "unknown=1", "client_encoding=none", "TimeZone=Mars", "search_path=none"]
)
async def test_a_wrong_parameter_of_the_address_is_no_reason_to_wait(env: MessagingEnv, parameter: str) -> None:
    address = env.database_address()
    database = Database(msgspec.structs.replace(address, url=f"{address.url}?{parameter}", ca_file=None))
    with pytest.raises(ConfigurationError, match=parameter.partition("=")[0].replace("search_path", "outbox")):
        await database.open()
    await database.close()
