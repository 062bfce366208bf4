"""One decision about an order at a time, by the database's clock, and no two batches in a circle."""

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from devtools.servers.servers import Servers
from services.order.handlers import on_payment_success
from services.order.store import OrderBook, expire_overdue
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.payments import PaymentSuccess
from tests.locks import LockProbe
from tests.service_replica import Replica, ServiceDatabase, types_of
from warren_messaging import codec
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of

Workers = tuple[Replica, Replica]

RESERVED = InventoryReserved(customer="gayal", total_cents=950, currency="EUR", payment_token="tok_ok")
SUCCESS = PaymentSuccess(customer="gayal", charge_id="ch_1", amount_cents=950, currency="EUR")


async def placed(shop: Any) -> UUID:
    answer = await shop.place(user=secrets.token_hex(6))
    assert answer.status_code == 202, answer.text
    return UUID(answer.json()["id"])


async def state(db: ServiceDatabase, order: UUID) -> str:
    return str((await db.sql('SELECT state FROM "order".orders WHERE id = $1', order))[0][0])


async def test_a_decision_about_an_order_waits_for_the_one_under_way(
    db: ServiceDatabase, shop: Any, workers: Workers
) -> None:
    order = await placed(shop)
    payment = event_of(SUCCESS, subject=order)
    async with workers[0].outbox.transaction(OrderBook) as book:
        await book.load([payment])
        other = asyncio.create_task(workers[1].process(event_of(RESERVED, subject=order)))
        await asyncio.sleep(0.3)
        assert not other.done(), "two processes decide about one order at a time"
        await on_payment_success(payment, book)
    assert await other == [Verdict.ACK]
    assert await state(db, order) == "PAID"
    assert types_of(await db.outbox_events('"order"'), order) == ["order.created", "order.confirmed", "order.paid"]


async def test_orders_are_locked_in_the_order_of_their_ids(
    servers: Servers, db: ServiceDatabase, shop: Any, workers: Workers
) -> None:
    low, high = sorted([await placed(shop), await placed(shop)])
    lock = 'SELECT FROM "order".orders WHERE id = $1 FOR UPDATE'
    locks = LockProbe(servers.postgres.address.dsn(db.name))
    async with locks.hold(lock, low):
        batch = asyncio.create_task(
            workers[0].process(event_of(RESERVED, subject=high), event_of(RESERVED, subject=low))
        )
        await locks.wait_for_blocked()
        free = await locks.can_lock(lock, high)
    assert await batch == [Verdict.ACK] * 2
    assert free, "the higher order is locked before the lower one"


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_deadline_goes_by_the_databases_clock(
    db: ServiceDatabase, shop: Any, workers: Workers, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """The process's own clock is wrong while the order is placed and while deadlines are looked at."""
    monkeypatch.setattr(codec, "now", lambda: datetime.now(UTC) + timedelta(hours=hours))
    order = await placed(shop)
    [[left]] = await db.sql('SELECT extract(epoch FROM deadline - now()) FROM "order".orders WHERE id = $1', order)
    assert 800 < left <= 900
    await workers[0].tick(expire_overdue)
    assert await state(db, order) == "PENDING"
    await db.sql('UPDATE "order".orders SET deadline = now() WHERE id = $1', order)
    await workers[0].tick(expire_overdue)
    assert await state(db, order) == "CANCELLING"
