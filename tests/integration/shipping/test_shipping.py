"""The service's handlers and ticks on the real database, through the library, with two replicas."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from uuid import UUID, uuid4

from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import CancelReason, OrderCancelling, OrderDeliveryConfirmed, Participant
from services.shared.contracts.payments import PaymentSuccess
from services.shipping import store
from services.shipping.domain import Pace
from services.shipping.handlers import deliver_due, on_payment_success, prepare_due
from services.shipping.store import Shipments
from services.shipping.tracking import tracking_number
from tests.service_replica import Replica, ServiceDatabase, types_of
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of, with_new_ids

Start = Callable[[Pace], AbstractAsyncContextManager[Replica]]

AT_ONCE = Pace()
HOUR = 3600.0


def paid(order: UUID, *, express: bool = False) -> AnyEvent:
    data = PaymentSuccess(customer="gayal", charge_id="ch_1", amount_cents=990, currency="EUR", express=express)
    return event_of(data, source="/warren/payment", subject=order, reference="123")


def confirmed(order: UUID) -> AnyEvent:
    return event_of(OrderDeliveryConfirmed(customer="gayal"), subject=order, reference="123")


def cancelling(order: UUID, *asked: Participant) -> AnyEvent:
    participants = list(asked) or [Participant.SHIPPING]
    data = OrderCancelling(customer="gayal", reason=CancelReason.CUSTOMER, participants=participants)
    return event_of(data, subject=order, reference="123")


async def pass_time(db: ServiceDatabase) -> None:
    """Everything that waits is due."""
    await db.sql(
        "UPDATE shipping.shipments"
        " SET prepare_at = prepare_at - interval '1 day', deliver_at = deliver_at - interval '1 day'"
    )


async def test_a_paid_order_is_prepared_at_once_and_delivered_on_confirmation(
    db: ServiceDatabase, start: Start
) -> None:
    order = uuid4()
    async with start(AT_ONCE) as shipping:
        await shipping.process(paid(order))
        await shipping.process(confirmed(order))
    said = await db.outbox_events("shipping")
    assert [event.type for event in said] == ["shipping.prepared", "shipping.delivered"]
    assert {event.data.tracking for event in said} == {tracking_number(order)}
    assert [event.sourcesequence for event in said] == [1, 2]
    [row] = await db.sql("SELECT state, tracking FROM shipping.shipments WHERE order_id = $1", order)
    assert tuple(row) == ("delivered", tracking_number(order))


async def test_shuffled_and_repeated_events_on_two_replicas_deliver_once(db: ServiceDatabase, start: Start) -> None:
    orders = [uuid4() for _ in range(80)]
    events = [make(order) for order in orders for make in (paid, confirmed)]
    async with start(AT_ONCE) as one, start(AT_ONCE) as two:

        async def consume(replica: Replica) -> None:
            queue = random.sample(events * 2, len(events) * 2)
            for first in range(0, len(queue), 40):
                verdicts = await replica.process(*queue[first : first + 40])
                assert set(verdicts) == {Verdict.ACK}

        await asyncio.gather(consume(one), consume(two))
        assert one.telemetry.failures == two.telemetry.failures == []
    said = await db.outbox_events("shipping")
    for order in orders:
        assert types_of(said, order) == ["shipping.prepared", "shipping.delivered"]


async def test_payment_and_cancelling_racing_on_two_replicas_agree(db: ServiceDatabase, start: Start) -> None:
    orders = [uuid4() for _ in range(80)]
    async with start(AT_ONCE) as one, start(AT_ONCE) as two:
        for first in range(0, len(orders), 8):
            some = orders[first : first + 8]
            await asyncio.gather(
                one.process(*(paid(order) for order in some)), two.process(*(cancelling(order) for order in some[::-1]))
            )
        assert one.telemetry.failures == two.telemetry.failures == []
    said = await db.outbox_events("shipping")
    for order in orders:
        assert types_of(said, order) in (["shipping.stopped"], ["shipping.prepared", "shipping.refused"])


async def test_a_decision_about_a_known_parcel_waits_for_the_one_under_way(db: ServiceDatabase, start: Start) -> None:
    order = uuid4()
    async with start(AT_ONCE) as one, start(AT_ONCE) as two:
        await one.process(confirmed(order))
        payment = paid(order)
        async with one.outbox.transaction(partial(Shipments, pace=AT_ONCE)) as work:
            await work.load([payment])
            stopping = asyncio.create_task(two.process(cancelling(order)))
            await asyncio.sleep(0.3)
            assert not stopping.done()
            await on_payment_success(payment, work)
        assert await stopping == [Verdict.ACK]
    assert types_of(await db.outbox_events("shipping"), order) == [
        "shipping.prepared",
        "shipping.delivered",
        "shipping.refused",
    ]


async def test_cancelling_before_the_payment_stops_the_parcel_for_good(db: ServiceDatabase, start: Start) -> None:
    order = uuid4()
    async with start(AT_ONCE) as shipping:
        await shipping.process(cancelling(order))
        await shipping.process(paid(order), confirmed(order))
    assert types_of(await db.outbox_events("shipping"), order) == ["shipping.stopped"]


async def test_every_request_to_cancel_is_answered_alike_and_a_repetition_is_not(
    db: ServiceDatabase, start: Start
) -> None:
    order = uuid4()
    first = cancelling(order)
    async with start(AT_ONCE) as shipping:
        await shipping.process(paid(order))
        await shipping.process(first)
        await shipping.process(first, with_new_ids(first))
        await shipping.process(cancelling(order, Participant.INVENTORY, Participant.PAYMENT))
    said = [event for event in await db.outbox_events("shipping") if event.subject == order]
    assert [event.type for event in said] == ["shipping.prepared", "shipping.refused", "shipping.refused"]
    assert said[1].data.tracking == tracking_number(order)


async def test_a_cancelling_that_does_not_name_shipping_leaves_no_trace(db: ServiceDatabase, start: Start) -> None:
    async with start(AT_ONCE) as shipping:
        await shipping.process(cancelling(uuid4(), Participant.INVENTORY, Participant.PAYMENT))
    assert await db.sql("SELECT FROM shipping.shipments") == []


async def test_a_waiting_parcel_can_be_stopped_and_leaves_by_the_databases_clock(
    db: ServiceDatabase, start: Start
) -> None:
    stopped, left = uuid4(), uuid4()
    async with start(Pace(preparation=HOUR)) as shipping:
        await shipping.process(paid(stopped), paid(left))
        assert await shipping.tick(prepare_due) == 0
        await shipping.process(cancelling(stopped))
        await pass_time(db)
        assert await shipping.tick(prepare_due) == 1
        assert await shipping.tick(prepare_due) == 0
        assert await shipping.tick(deliver_due) == 0, "there is no carrier"
    said = await db.outbox_events("shipping")
    assert types_of(said, stopped) == ["shipping.stopped"]
    assert types_of(said, left) == ["shipping.prepared"]
    assert said[-1].reference == "123"


async def test_the_wait_begins_with_the_payment(db: ServiceDatabase, start: Start) -> None:
    order = uuid4()
    async with start(Pace(preparation=HOUR)) as shipping:
        await shipping.process(confirmed(order))
        await shipping.process(paid(order))
        waits = "SELECT prepare_at, extract(epoch FROM prepare_at - changed_at) FROM shipping.shipments"
        [before] = await db.sql(waits)
        assert before[1] == HOUR
        await shipping.process(with_new_ids(confirmed(order)))
        assert (await db.sql(waits))[0][0] == before[0]
        await pass_time(db)
        await shipping.tick(prepare_due)
    assert types_of(await db.outbox_events("shipping"), order) == ["shipping.prepared", "shipping.delivered"]


async def test_the_carrier_delivers_when_its_time_has_come(db: ServiceDatabase, start: Start) -> None:
    order = uuid4()
    async with start(Pace(preparation=HOUR, carrier=HOUR)) as shipping:
        await shipping.process(paid(order))
        await pass_time(db)
        await shipping.tick(prepare_due)
        assert await shipping.tick(deliver_due) == 0
        await pass_time(db)
        assert await shipping.tick(deliver_due) == 1
        assert await shipping.tick(deliver_due) == 0
        await shipping.process(confirmed(order))
    assert types_of(await db.outbox_events("shipping"), order) == ["shipping.prepared", "shipping.delivered"]


async def test_an_instant_carrier_delivers_in_the_same_transaction(db: ServiceDatabase, start: Start) -> None:
    order = uuid4()
    async with start(Pace(carrier=0)) as shipping:
        await shipping.process(paid(order))
    assert types_of(await db.outbox_events("shipping"), order) == ["shipping.prepared", "shipping.delivered"]


async def test_express_parcels_leave_first(db: ServiceDatabase, start: Start) -> None:
    orders = [uuid4() for _ in range(300)]
    express = set(orders[200:])
    async with start(Pace(preparation=HOUR)) as shipping:
        for order in orders:
            await shipping.process(paid(order, express=order in express))
        await pass_time(db)
        assert [await shipping.tick(prepare_due) for _ in range(3)] == [200, 100, 0]
    said = await db.outbox_events("shipping")
    assert {event.subject for event in said[:100]} == express
    assert [event.priority for event in said] == [8] * 100 + [None] * 200


async def test_two_replicas_share_what_is_due(db: ServiceDatabase, start: Start) -> None:
    orders = [uuid4() for _ in range(500)]
    async with start(Pace(preparation=HOUR)) as one, start(Pace(preparation=HOUR)) as two:
        await one.process(*(paid(order) for order in orders))
        await pass_time(db)

        async def ticking(replica: Replica) -> int:
            total = 0
            while found := await replica.tick(prepare_due):
                total += found
            return total

        totals = await asyncio.gather(ticking(one), ticking(two))
    assert sum(totals) == 500
    said = await db.outbox_events("shipping")
    assert sorted(event.subject for event in said) == sorted(orders)


async def test_a_tick_costs_nothing_for_what_is_past(db: ServiceDatabase, start: Start) -> None:
    await db.sql(
        "INSERT INTO shipping.shipments (order_id, state, tracking, prepare_at, deliver_at)"
        " SELECT gen_random_uuid(), 'delivered', 'WR', now(), now() FROM generate_series(1, 5000)"
    )
    await db.sql("ANALYZE shipping.shipments")
    for query in (store._DUE_TO_PREPARE, store._DUE_TO_DELIVER):
        plan = await db.sql("EXPLAIN " + query.replace("FROM shipments", "FROM shipping.shipments"))
        assert any("Index Scan using shipments_to_" in row[0] for row in plan)
