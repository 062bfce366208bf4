"""Locks of orders: one decision at a time, deadlines by the database's clock, and no deadlocks."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from devtools.servers.servers import Servers
from services.order.handlers import on_fact
from services.order.store import OrderRepository, expire_overdue
from tests.events import RESERVED, SUCCESS
from tests.integration.order.conftest import OrderApi
from tests.locks import LockProbe
from tests.service_replica import Replica, ServiceDatabase
from warren_messaging import codec
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of

Workers = tuple[Replica, Replica]


async def test_a_decision_waits_for_the_one_in_progress(api: OrderApi, workers: Workers) -> None:
    order_id = await api.place_order()
    payment = event_of(SUCCESS, subject=order_id)
    async with workers[0].outbox.transaction(OrderRepository) as orders:
        await orders.load([payment])
        other = asyncio.create_task(workers[1].process(event_of(RESERVED, subject=order_id)))
        await asyncio.sleep(0.3)
        assert not other.done(), "two processes decide about one order at the same time"
        await on_fact(payment, orders)
    assert await other == [Verdict.ACK]
    assert (await api.read(order_id))["state"] == "PAID"
    assert await api.event_types(order_id) == ["order.created", "order.confirmed", "order.paid"]


async def test_orders_are_locked_in_the_order_of_their_ids(
    servers: Servers, db: ServiceDatabase, api: OrderApi, workers: Workers
) -> None:
    low, high = sorted([await api.place_order(), await api.place_order()])
    lock = 'SELECT FROM "order".orders WHERE id = $1 FOR UPDATE'
    locks = LockProbe(servers.postgres.endpoint.dsn(db.name))
    async with locks.hold(lock, low):
        batch = asyncio.create_task(
            workers[0].process(event_of(RESERVED, subject=high), event_of(RESERVED, subject=low))
        )
        await locks.wait_for_blocked()
        free = await locks.can_lock(lock, high)
    assert await batch == [Verdict.ACK] * 2
    assert free, "the higher order is locked before the lower one"


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_deadline_uses_the_databases_clock(
    db: ServiceDatabase, api: OrderApi, workers: Workers, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The process's clock is wrong when the order is placed and when deadlines are checked."""
    monkeypatch.setattr(codec, "now", lambda: datetime.now(UTC) + timedelta(hours=hours))
    order_id = await api.place_order()
    [[left]] = await db.sql('SELECT extract(epoch FROM deadline - now()) FROM "order".orders WHERE id = $1', order_id)
    assert 800 < left <= 900
    await workers[0].run_job(expire_overdue)
    assert (await api.read(order_id))["state"] == "PENDING"
    await db.sql('UPDATE "order".orders SET deadline = now() WHERE id = $1', order_id)
    await workers[0].run_job(expire_overdue)
    assert (await api.read(order_id))["state"] == "CANCELLING"
