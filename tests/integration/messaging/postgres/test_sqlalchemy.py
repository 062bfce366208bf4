"""SQLAlchemy's session works in the transaction of a handler, without a guarantee lost."""

import asyncio
from collections.abc import Iterable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import DatabaseUnavailable, Transaction, encode
from warren_messaging.postgres.sqlalchemy import sqlalchemy_session
from warren_messaging.testing import event_of


class Base(DeclarativeBase):
    pass


class Recorded(Base):
    __tablename__ = "recorded"
    id: Mapped[UUID] = mapped_column(primary_key=True)


def handlers(*, fail: set[UUID] = frozenset()) -> Any:  # type: ignore[assignment]
    async def on_order_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        async with sqlalchemy_session(uow.connection) as session:
            session.add(Recorded(id=event.logicalid))
            await session.commit()  # releases a savepoint, no more
            if event.logicalid in fail:
                await session.execute(text("SELECT 'no number'::int"))
        return [OrderCompleted(customer=event.data.customer)]

    return {OrderConfirmed: on_order_confirmed}


async def test_rows_of_a_session_commit_with_inbox_and_events(env: MessagingEnv) -> None:
    events = [event_of(OrderConfirmed(customer="ada")) for _ in range(50)]
    bad = events[7]
    await env.separate_announcements()
    async with env.consumer(handlers(fail={bad.logicalid})):
        await env.send(*map(encode, [*events, *(each for each in events if each is not bad)]))
        await env.wait_for_recorded(49)
        await eventually(lambda: parked(env, 1))
    # A refused value parks the message at its first attempt, and the rows that its session committed are gone.
    assert sorted(await env.recorded()) == sorted(each.logicalid for each in events if each is not bad)
    assert len(await env.drain("announced.queue")) == 49
    (row,) = await env.sql("SELECT attempts, state FROM failures WHERE key = $1", str(bad.logicalid))
    assert (row["attempts"], row["state"]) == (1, "parked")


async def parked(env: MessagingEnv, count: int) -> bool:
    return await env.depth("probe.dlq") == count


async def test_a_session_on_a_lost_connection_is_an_unavailable_database(env: MessagingEnv) -> None:
    database = env.database()
    await database.open()
    with pytest.raises(DatabaseUnavailable):
        async with database.transaction() as connection, sqlalchemy_session(connection) as session:
            number = (await session.execute(text("SELECT pg_backend_pid()"))).scalar_one()
            await env.sql("SELECT pg_terminate_backend($1)", number)
            await asyncio.sleep(0.2)
            await session.execute(text("SELECT 1"))
    async with database.transaction() as connection, sqlalchemy_session(connection) as session:
        assert (await session.execute(text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_a_rolled_back_session_leaves_the_transaction_usable(env: MessagingEnv) -> None:
    database = env.database()
    await database.open()
    async with database.transaction() as connection:
        with pytest.raises(ValueError, match="changed its mind"):
            async with sqlalchemy_session(connection) as session:
                session.add(Recorded(id=UUID(int=1)))
                await session.flush()
                raise ValueError("changed its mind")
        await connection.execute("INSERT INTO recorded VALUES ($1)", UUID(int=2))
    assert await env.recorded() == [UUID(int=2)]
    await database.close()
