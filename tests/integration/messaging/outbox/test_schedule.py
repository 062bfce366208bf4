"""Scheduled messages with real servers: locks between replicas, the database's clock, rows that are not events."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.shared.contracts.orders import OrderConfirmed
from tests.messaging_env import MessagingEnv, announce, eventually
from warren_messaging import codec
from warren_messaging.outbox import schedule
from warren_messaging.outbox.schedule import DueMessageMover, move_due
from warren_messaging.postgres import scheduled
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")
DUE = datetime(2026, 1, 1, tzinfo=UTC)


async def numbers(env: MessagingEnv, subject: UUID) -> int:
    rows = await env.sql("SELECT last FROM sequences WHERE subject = $1", subject)
    return int(rows[0][0]) if rows else 0


async def test_a_replica_moves_what_no_other_holds_and_no_later_message_of_its_subjects(env: MessagingEnv) -> None:
    first, second, third = uuid4(), uuid4(), uuid4()
    async with env.outbox() as outbox, env.outbox() as other:
        for subject in (first, second, first, third):
            await announce(outbox, CONFIRMED, subject=subject, deliver_at=DUE)
        async with outbox.transaction(Transaction) as uow:
            held = await scheduled.lock_due(uow.connection, 2)

            async def move() -> list[Any]:
                async with other.transaction(Transaction) as concurrent:
                    return await scheduled.lock_due(concurrent.connection, 10)

            moving = asyncio.create_task(move())
            await eventually(moving.done, seconds=5, what="a replica waits for another one's messages")
            assert len(held) == 2
            subjects = await env.sql(
                "SELECT subject FROM scheduled WHERE id = ANY($1)", [row[0] for row in await moving]
            )
            assert [row[0] for row in subjects] == [third]


async def test_a_cancelled_message_that_a_replica_is_moving_is_published_and_the_cancellation_waits(
    env: MessagingEnv,
) -> None:
    async with env.outbox() as outbox, env.outbox() as other:
        async with outbox.transaction(Transaction) as uow:
            message = uow.announce(CONFIRMED, subject=uuid4(), deliver_at=DUE)

        async def cancel() -> None:
            async with other.transaction(Transaction) as uow:
                uow.cancel_scheduled(message)

        async with outbox.transaction(Transaction) as uow:
            assert await move_due(uow, env.telemetry) == 1
            cancelling = asyncio.create_task(cancel())
            await asyncio.sleep(0.3)
            assert not cancelling.done()
        await cancelling
    assert [body.delivery.routing_key for body in await env.drain("probe.queue")] == ["order.confirmed"]


async def test_the_clock_of_the_database_decides_what_is_due(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = uuid4()
    async with env.outbox() as outbox:
        await announce(outbox, CONFIRMED, subject=subject, deliver_at=datetime.now(UTC) + timedelta(minutes=5))
        monkeypatch.setattr(codec, "now", lambda: datetime.now(UTC) + timedelta(hours=1))
        async with outbox.transaction(Transaction) as uow:
            assert await move_due(uow, env.telemetry) == 0


async def test_exchange_priority_expiry_and_trace_reach_the_broker(env: MessagingEnv) -> None:
    async with env.channel() as channel:
        await channel.exchange_declare("other.exchange", exchange_type="fanout", durable=True)
        await channel.queue_declare("other.queue", durable=True, arguments={"x-queue-type": "quorum"})
        await channel.queue_bind("other.queue", "other.exchange")
    await env.add_user("probe", write=".exchange$", read="^probe.queue$")
    async with env.due_message_mover() as outbox:
        fields: dict[str, Any] = {"exchange": "other.exchange", "priority": 9, "expires_ms": 3_600_000}
        await announce(outbox, CONFIRMED, deliver_at=DUE, traceparent="00-a-b-01", **fields)

        async def published() -> bool:
            return await env.depth("other.queue") == 1

        await eventually(published)
    (message,) = await env.drain("other.queue")
    properties = message.header.properties
    assert (properties.priority, properties.expiration) == (9, "3600000")
    assert properties.headers["traceparent"] == "00-a-b-01"


async def test_a_row_that_is_not_an_event_delays_no_message(env: MessagingEnv) -> None:
    subject = uuid4()
    async with env.outbox() as outbox:
        for _ in range(3):
            await announce(outbox, CONFIRMED, subject=subject, deliver_at=DUE)
        await env.sql("UPDATE scheduled SET body = 'no event' WHERE position = 2")
        mover = asyncio.create_task(DueMessageMover(outbox, env.telemetry, seconds=0.1).run())

        async def moved() -> bool:
            return await numbers(env, subject) == 2

        await eventually(moved)
        mover.cancel()
    (left,) = await env.sql("SELECT position, due_at > now() + interval '5 minutes' AS postponed FROM scheduled")
    assert (left["position"], left["postponed"]) == (2, True)
    assert any("is not an event: not JSON" in status for status in env.telemetry.statuses)


async def test_events_of_one_moment_are_moved_in_transactions_of_limited_size(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "MAX_MOVED", 100)
    async with env.outbox() as outbox:
        await announce(outbox, *[CONFIRMED] * 250, deliver_at=DUE)
        sizes = []
        for _ in range(4):
            async with outbox.transaction(Transaction) as uow:
                sizes.append(await move_due(uow, env.telemetry))
        assert sizes == [100, 100, 50, 0]
