"""Handlers and periodic jobs of shipping on the real database, with two replicas."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from uuid import UUID, uuid4

import msgspec

from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import OrderDeliveryConfirmed, Participant
from services.shipping import store
from services.shipping.domain import Delays, Shipment
from services.shipping.handlers import deliver_due, dispatch_due, on_payment_success
from services.shipping.store import ShipmentRepository
from tests.events import cancelling, payment_success
from tests.service_replica import Replica, ServiceDatabase, types_of
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of, with_new_ids

Start = Callable[[Delays], AbstractAsyncContextManager[Replica]]

AT_ONCE = Delays()
HOUR = 3600.0


def confirmed(order_id: UUID) -> AnyEvent:
    return event_of(OrderDeliveryConfirmed(customer="ada"), subject=order_id, reference="A-1")


async def pass_time(db: ServiceDatabase) -> None:
    """Makes every waiting shipment due."""
    await db.sql(
        "UPDATE shipping.shipments"
        " SET prepare_at = prepare_at - interval '1 day', deliver_at = deliver_at - interval '1 day'"
    )


async def test_a_paid_order_is_prepared_at_once_and_delivered_on_confirmation(
    db: ServiceDatabase, start: Start
) -> None:
    order_id = uuid4()
    async with start(AT_ONCE) as shipping:
        await shipping.process(payment_success(order_id))
        await shipping.process(confirmed(order_id))
    published = await db.outbox_events("shipping")
    assert [event.type for event in published] == ["shipping.prepared", "shipping.delivered"]
    assert {event.data.tracking for event in published} == {Shipment(order_id).tracking}
    assert [event.sourcesequence for event in published] == [1, 2]
    [row] = await db.sql("SELECT state, tracking FROM shipping.shipments WHERE order_id = $1", order_id)
    assert tuple(row) == ("delivered", Shipment(order_id).tracking)


async def test_shuffled_and_repeated_events_on_two_replicas_deliver_once(db: ServiceDatabase, start: Start) -> None:
    order_ids = [uuid4() for _ in range(80)]
    events = [make(order_id) for order_id in order_ids for make in (payment_success, confirmed)]
    async with start(AT_ONCE) as one, start(AT_ONCE) as two:

        async def consume(replica: Replica) -> None:
            queue = random.sample(events * 2, len(events) * 2)
            for first in range(0, len(queue), 40):
                verdicts = await replica.process(*queue[first : first + 40])
                assert set(verdicts) == {Verdict.ACK}

        await asyncio.gather(consume(one), consume(two))
        assert one.telemetry.failures == two.telemetry.failures == []
    published = await db.outbox_events("shipping")
    for order_id in order_ids:
        assert types_of(published, order_id) == ["shipping.prepared", "shipping.delivered"]


async def test_a_concurrent_payment_and_cancelling_agree(db: ServiceDatabase, start: Start) -> None:
    order_ids = [uuid4() for _ in range(80)]
    async with start(AT_ONCE) as one, start(AT_ONCE) as two:
        for first in range(0, len(order_ids), 8):
            some = order_ids[first : first + 8]
            await asyncio.gather(
                one.process(*(payment_success(order_id) for order_id in some)),
                two.process(*(cancelling(order_id, Participant.SHIPPING) for order_id in some[::-1])),
            )
        assert one.telemetry.failures == two.telemetry.failures == []
    published = await db.outbox_events("shipping")
    for order_id in order_ids:
        assert types_of(published, order_id) in (["shipping.stopped"], ["shipping.prepared", "shipping.refused"])


async def test_a_decision_about_a_parcel_waits_for_the_one_in_progress(db: ServiceDatabase, start: Start) -> None:
    order_id = uuid4()
    async with start(AT_ONCE) as one, start(AT_ONCE) as two:
        await one.process(confirmed(order_id))
        payment = payment_success(order_id)
        async with one.outbox.transaction(partial(ShipmentRepository, delays=AT_ONCE)) as uow:
            await uow.load([payment])
            stopping = asyncio.create_task(two.process(cancelling(order_id, Participant.SHIPPING)))
            await asyncio.sleep(0.3)
            assert not stopping.done()
            await on_payment_success(payment, uow)
        assert await stopping == [Verdict.ACK]
    assert types_of(await db.outbox_events("shipping"), order_id) == [
        "shipping.prepared",
        "shipping.delivered",
        "shipping.refused",
    ]


async def test_cancelling_before_the_payment_stops_the_parcel_for_good(db: ServiceDatabase, start: Start) -> None:
    order_id = uuid4()
    async with start(AT_ONCE) as shipping:
        await shipping.process(cancelling(order_id, Participant.SHIPPING))
        await shipping.process(payment_success(order_id), confirmed(order_id))
    assert types_of(await db.outbox_events("shipping"), order_id) == ["shipping.stopped"]


async def test_every_request_to_stop_has_the_same_answer_and_a_repetition_none(
    db: ServiceDatabase, start: Start
) -> None:
    order_id = uuid4()
    first = cancelling(order_id, Participant.SHIPPING)
    async with start(AT_ONCE) as shipping:
        await shipping.process(payment_success(order_id))
        await shipping.process(first)
        await shipping.process(first, with_new_ids(first))
        await shipping.process(cancelling(order_id, Participant.INVENTORY, Participant.PAYMENT))
    published = [event for event in await db.outbox_events("shipping") if event.subject == order_id]
    assert [event.type for event in published] == ["shipping.prepared", "shipping.refused", "shipping.refused"]
    assert published[1].data.tracking == Shipment(order_id).tracking


async def test_a_cancelling_without_shipping_stores_nothing(db: ServiceDatabase, start: Start) -> None:
    async with start(AT_ONCE) as shipping:
        await shipping.process(cancelling(uuid4(), Participant.INVENTORY, Participant.PAYMENT))
    assert await db.sql("SELECT FROM shipping.shipments") == []


async def test_a_waiting_parcel_can_be_stopped_or_leaves_by_the_databases_clock(
    db: ServiceDatabase, start: Start
) -> None:
    stopped, left = uuid4(), uuid4()
    async with start(Delays(preparation=HOUR)) as shipping:
        await shipping.process(payment_success(stopped), payment_success(left))
        assert await shipping.run_job(dispatch_due) == 0
        await shipping.process(cancelling(stopped, Participant.SHIPPING))
        await pass_time(db)
        assert await shipping.run_job(dispatch_due) == 1
        assert await shipping.run_job(dispatch_due) == 0
        assert await shipping.run_job(deliver_due) == 0, "there is no carrier"
    published = await db.outbox_events("shipping")
    assert types_of(published, stopped) == ["shipping.stopped"]
    assert types_of(published, left) == ["shipping.prepared"]
    assert published[-1].reference == "A-1"


async def test_the_preparation_begins_with_the_payment(db: ServiceDatabase, start: Start) -> None:
    order_id = uuid4()
    async with start(Delays(preparation=HOUR)) as shipping:
        await shipping.process(confirmed(order_id))
        await shipping.process(payment_success(order_id))
        waits = "SELECT prepare_at, extract(epoch FROM prepare_at - changed_at) FROM shipping.shipments"
        [before] = await db.sql(waits)
        assert before[1] == HOUR
        await shipping.process(with_new_ids(confirmed(order_id)))
        assert (await db.sql(waits))[0][0] == before[0]
        await pass_time(db)
        await shipping.run_job(dispatch_due)
    assert types_of(await db.outbox_events("shipping"), order_id) == ["shipping.prepared", "shipping.delivered"]


async def test_the_carrier_delivers_after_its_delay(db: ServiceDatabase, start: Start) -> None:
    order_id = uuid4()
    async with start(Delays(preparation=HOUR, carrier=HOUR)) as shipping:
        await shipping.process(payment_success(order_id))
        await pass_time(db)
        await shipping.run_job(dispatch_due)
        assert await shipping.run_job(deliver_due) == 0
        await pass_time(db)
        assert await shipping.run_job(deliver_due) == 1
        assert await shipping.run_job(deliver_due) == 0
        await shipping.process(confirmed(order_id))
    assert types_of(await db.outbox_events("shipping"), order_id) == ["shipping.prepared", "shipping.delivered"]


async def test_an_instant_carrier_delivers_in_the_same_transaction(db: ServiceDatabase, start: Start) -> None:
    order_id = uuid4()
    async with start(Delays(carrier=0)) as shipping:
        await shipping.process(payment_success(order_id))
    assert types_of(await db.outbox_events("shipping"), order_id) == ["shipping.prepared", "shipping.delivered"]


async def test_express_parcels_leave_first(db: ServiceDatabase, start: Start) -> None:
    order_ids = [uuid4() for _ in range(300)]
    express = set(order_ids[200:])
    async with start(Delays(preparation=HOUR)) as shipping:
        for order_id in order_ids:
            await shipping.process(payment_success(order_id, express=order_id in express))
        await pass_time(db)
        assert [await shipping.run_job(dispatch_due) for _ in range(3)] == [200, 100, 0]
    published = await db.outbox_events("shipping")
    assert {event.subject for event in published[:100]} == express
    assert [event.priority for event in published] == [8] * 100 + [None] * 200


async def test_two_replicas_share_the_due_parcels(db: ServiceDatabase, start: Start) -> None:
    order_ids = [uuid4() for _ in range(500)]
    async with start(Delays(preparation=HOUR)) as one, start(Delays(preparation=HOUR)) as two:
        await one.process(*(payment_success(order_id) for order_id in order_ids))
        await pass_time(db)

        async def running(replica: Replica) -> int:
            total = 0
            while found := await replica.run_job(dispatch_due):
                total += found
            return total

        totals = await asyncio.gather(running(one), running(two))
    assert sum(totals) == 500
    published = await db.outbox_events("shipping")
    assert sorted(event.subject for event in published) == sorted(order_ids)


async def test_the_search_for_due_parcels_uses_an_index(db: ServiceDatabase, start: Start) -> None:
    await db.sql(
        "INSERT INTO shipping.shipments (order_id, state, tracking, prepare_at, deliver_at)"
        " SELECT gen_random_uuid(), 'delivered', 'WR', now(), now() FROM generate_series(1, 5000)"
    )
    await db.sql("ANALYZE shipping.shipments")
    for query in (store._DUE_TO_DISPATCH, store._DUE_TO_DELIVER):
        plan = await db.sql("EXPLAIN " + query.replace("FROM shipments", "FROM shipping.shipments"))
        assert any("Index Scan using shipments_to_" in row[0] for row in plan)


async def test_what_is_dispatched_and_delivered_later_continues_the_trace_of_the_order(
    db: ServiceDatabase, start: Start
) -> None:
    order_id, context = uuid4(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with start(Delays(preparation=HOUR, carrier=HOUR)) as shipping:
        await shipping.process(msgspec.structs.replace(payment_success(order_id), traceparent=context))
        await pass_time(db)
        await shipping.run_job(dispatch_due)
        await pass_time(db)
        await shipping.run_job(deliver_due)
    published = [event for event in await db.outbox_events("shipping") if event.subject == order_id]
    assert [(event.type, event.traceparent) for event in published] == [
        ("shipping.prepared", context),
        ("shipping.delivered", context),
    ]
