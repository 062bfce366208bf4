"""The conversations on the real database, with two replicas at a time."""

import asyncio
import random
from collections import Counter
from uuid import UUID, uuid4

from services.shared.contracts import AnyEvent
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.orders import (
    Contact,
    OrderCompleted,
    OrderConfirmed,
    OrderCreated,
    OrderDeliveryConfirmed,
    OrderPaid,
    OrderShipped,
)
from tests.service_replica import Replica, ServiceDatabase
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of, with_new_ids

Replicas = tuple[Replica, Replica]

TOPICS = ("order.confirmed", "order.paid", "order.shipped", "order.completed")


def created(order: UUID, contact: Contact = Contact(email="ada@example.test")) -> AnyEvent:  # noqa: B008
    data = OrderCreated(
        customer="ada", lines=[], total_cents=100, currency="EUR", payment_token="tok_ok", contact=contact
    )
    return event_of(data, subject=order, reference="A-1")


def history(order: UUID) -> list[AnyEvent]:
    facts = (
        InventoryReserved(customer="ada", total_cents=100, currency="EUR", payment_token="tok_ok"),
        OrderConfirmed(customer="ada"),
        OrderPaid(customer="ada", total_cents=100, currency="EUR"),
        OrderShipped(customer="ada", tracking="T"),
        OrderDeliveryConfirmed(customer="ada"),
        OrderCompleted(customer="ada"),
    )
    return [created(order), *(event_of(data, subject=order, reference="A-1") for data in facts)]


async def told(db: ServiceDatabase, order: UUID) -> Counter[str]:
    return Counter(event.data.topic for event in await db.outbox_events("notification") if event.subject == order)


async def test_a_batch_of_many_orders_is_told(db: ServiceDatabase, replicas: Replicas) -> None:
    orders = [uuid4() for _ in range(20)]
    events = [event for order in orders for event in history(order)]
    random.shuffle(events)
    assert set(await replicas[0].process(*events)) == {Verdict.ACK}
    said = Counter((event.subject, event.data.topic) for event in await db.outbox_events("notification"))
    assert {key: count for key, count in said.items() if key[0] in orders} == {
        (order, topic): 1 for order in orders for topic in TOPICS
    }
    assert await db.sql("SELECT FROM notification.waiting WHERE order_id = ANY($1::uuid[])", orders) == []


async def test_any_order_any_repetition_and_two_replicas_tell_the_same(db: ServiceDatabase, replicas: Replicas) -> None:
    orders = [uuid4() for _ in range(15)]
    events = [event for order in orders for event in history(order)]
    events += [with_new_ids(event) for event in events]
    random.shuffle(events)

    async def work(replica: Replica) -> None:
        while events:
            batch, events[:7] = events[:7], []
            assert set(await replica.process(*batch)) == {Verdict.ACK}

    await asyncio.gather(*(work(replica) for replica in replicas))
    for order in orders:
        assert await told(db, order) == Counter(TOPICS)


async def test_news_and_its_contact_at_the_same_moment_are_not_lost(db: ServiceDatabase, replicas: Replicas) -> None:
    """Whichever transaction is second must see what the first has stored while it waited."""
    for _ in range(60):
        order = uuid4()
        news = event_of(OrderConfirmed(customer="ada"), subject=order)
        await asyncio.gather(replicas[0].process(news), replicas[1].process(created(order)))
        assert await told(db, order) == Counter(["order.confirmed"])


async def test_what_waited_is_told_with_its_own_cause_and_an_end(db: ServiceDatabase, replicas: Replicas) -> None:
    order = uuid4()
    news = event_of(OrderPaid(customer="ada", total_cents=1, currency="EUR"), subject=order, traceparent="00-a-b-01")
    await replicas[0].process(news)
    assert [row[0] for row in await db.sql("SELECT topic FROM notification.waiting WHERE order_id = $1", order)] == [
        "order.paid"
    ]
    await replicas[1].process(created(order))
    [message] = [event for event in await db.outbox_events("notification") if event.subject == order]
    assert (message.causationid, message.traceparent) == (news.id, "00-a-b-01")
    [(expires,)] = await db.sql(
        "SELECT expires_ms FROM notification.outbox WHERE convert_from(body, 'UTF8')::json ->> 'subject' = $1",
        str(order),
    )
    assert expires == 24 * 60 * 60 * 1000


async def test_a_customer_without_a_contact_is_written_to_at_the_domain(
    db: ServiceDatabase, replicas: Replicas
) -> None:
    order = uuid4()
    await replicas[0].process(created(order, Contact()), event_of(OrderConfirmed(customer="ada"), subject=order))
    [message] = [event for event in await db.outbox_events("notification") if event.subject == order]
    assert message.data.contact == Contact(email="ada@shop.test")


async def test_silent_events_leave_no_trace(db: ServiceDatabase, replicas: Replicas) -> None:
    order = uuid4()
    await replicas[0].process(event_of(OrderDeliveryConfirmed(customer="ada"), subject=order))
    assert await db.sql("SELECT FROM notification.conversations WHERE order_id = $1", order) == []
