"""Payment reminders: scheduled with the order, cancelled with its payment or cancellation, published when due."""

from typing import Any
from uuid import UUID

import pytest

from services.order.store import expire_overdue
from services.shared.contracts.inventory import InventoryOutOfStock
from services.shared.contracts.orders import Line, OrderPaymentReminder
from tests.events import RESERVED, SUCCESS
from tests.service_metrics import reading_gauges
from tests.service_replica import Replica, ServiceDatabase
from warren_messaging.outbox.schedule import move_due
from warren_messaging.testing import event_of

Workers = tuple[Replica, Replica]

OUT_OF_STOCK = InventoryOutOfStock(customer="ada", missing=[Line("mug", 1)])


async def reminders(db: ServiceDatabase, order_id: UUID) -> list[Any]:
    """Seconds from the placement to the reminder, of each reminder of the order."""
    rows = await db.sql(
        'SELECT extract(epoch FROM s.due_at - o.created_at)::float8 FROM "order".scheduled AS s'
        ' JOIN "order".orders AS o ON o.id = s.subject WHERE s.subject = $1',
        order_id,
    )
    return [row[0] for row in rows]


async def move(worker: Replica) -> int:
    return await worker.run_job(lambda orders: move_due(orders, worker.telemetry))


async def test_a_reminder_is_scheduled_by_the_clock_of_the_database(db: ServiceDatabase, open_api: Any) -> None:
    api = await open_api(payment_reminder_seconds=120.5)
    assert await reminders(db, await api.place_order()) == [120.5]


@pytest.mark.parametrize("terms", [{"payment_reminder_seconds": 0.0}, {"payment_deadline_seconds": 300.0}])
async def test_no_reminder_is_scheduled_if_there_is_none_before_the_deadline(
    db: ServiceDatabase, open_api: Any, terms: dict[str, float]
) -> None:
    api = await open_api(**terms)
    assert await reminders(db, await api.place_order()) == []


async def test_a_payment_cancels_the_reminder_and_a_reservation_does_not(
    db: ServiceDatabase, api: Any, workers: Workers
) -> None:
    order_id = await api.place_order()
    await workers[0].process(event_of(RESERVED, subject=order_id))
    assert len(await reminders(db, order_id)) == 1
    await workers[1].process(event_of(SUCCESS, subject=order_id))
    assert await reminders(db, order_id) == []


async def test_a_cancellation_of_any_kind_cancels_the_reminder(
    db: ServiceDatabase, open_api: Any, workers: Workers
) -> None:
    api = await open_api(payment_reminder_seconds=0.001, payment_deadline_seconds=0.002)
    by_customer, by_inventory, by_deadline = [await api.place_order() for _ in range(3)]
    await api.http.post(f"/orders/{by_customer}/cancel")
    await workers[0].process(event_of(OUT_OF_STOCK, subject=by_inventory))
    while await workers[0].run_job(expire_overdue):
        pass
    for order_id in (by_customer, by_inventory, by_deadline):
        assert await reminders(db, order_id) == []


async def test_a_due_reminder_is_published_once(db: ServiceDatabase, open_api: Any, workers: Workers) -> None:
    api = await open_api(payment_reminder_seconds=0.001)
    order_id = await api.place_order(orderId="R-1")
    while await move(workers[0]) or await move(workers[1]):
        pass
    events = [event for event in await db.outbox_events('"order"') if event.subject == order_id]
    assert [(event.type, event.sourcesequence, event.reference) for event in events] == [
        ("order.created", 1, "R-1"),
        ("order.payment_reminder", 2, "R-1"),
    ]
    assert events[1].data == OrderPaymentReminder(customer=events[0].data.customer, total_cents=950, currency="EUR")


async def test_metrics_show_waiting_and_overdue_messages(db: ServiceDatabase, open_api: Any, workers: Workers) -> None:
    while await move(workers[0]):
        pass
    async with reading_gauges("order", db.address("order")) as value:
        waiting = await value("warren_scheduled_messages")
        assert await value("warren_scheduled_overdue_seconds") == 0
        await (await open_api(payment_reminder_seconds=120.0)).place_order()
        assert await value("warren_scheduled_messages") == waiting + 1
        await db.sql("UPDATE \"order\".scheduled SET due_at = now() - interval '1 hour'")
        assert 3600 <= await value("warren_scheduled_overdue_seconds") < 3700
