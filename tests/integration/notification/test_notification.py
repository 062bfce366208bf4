"""Notification logs on the real database, with two replicas."""

import asyncio
import random
from collections import Counter
from uuid import UUID, uuid4

from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import (
    Contact,
    OrderCompleted,
    OrderConfirmed,
    OrderDeliveryConfirmed,
    OrderPaid,
    OrderShipped,
)
from tests.events import RESERVED, order_created
from tests.service_replica import Replica, ServiceDatabase
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of, with_new_ids

Replicas = tuple[Replica, Replica]

TOPICS = ("order.confirmed", "order.paid", "order.shipped", "order.completed")


def created(order_id: UUID, contact: Contact = Contact(email="ada@example.test")) -> AnyEvent:  # noqa: B008
    return event_of(order_created(contact=contact), subject=order_id, reference="A-1")


def history(order_id: UUID) -> list[AnyEvent]:
    facts = (
        RESERVED,
        OrderConfirmed(customer="ada"),
        OrderPaid(customer="ada", total_cents=100, currency="EUR"),
        OrderShipped(customer="ada", tracking="T"),
        OrderDeliveryConfirmed(customer="ada"),
        OrderCompleted(customer="ada"),
    )
    return [created(order_id), *(event_of(data, subject=order_id, reference="A-1") for data in facts)]


async def topics(db: ServiceDatabase, order_id: UUID) -> Counter[str]:
    return Counter(event.data.topic for event in await db.outbox_events("notification") if event.subject == order_id)


async def test_a_batch_of_many_orders_is_notified(db: ServiceDatabase, replicas: Replicas) -> None:
    order_ids = [uuid4() for _ in range(20)]
    events = [event for order_id in order_ids for event in history(order_id)]
    random.shuffle(events)
    assert set(await replicas[0].process(*events)) == {Verdict.ACK}
    published = Counter((event.subject, event.data.topic) for event in await db.outbox_events("notification"))
    assert {key: count for key, count in published.items() if key[0] in order_ids} == {
        (order_id, topic): 1 for order_id in order_ids for topic in TOPICS
    }
    assert await db.sql("SELECT FROM notification.waiting WHERE order_id = ANY($1::uuid[])", order_ids) == []


async def test_any_order_and_any_repetition_on_two_replicas_notify_once(
    db: ServiceDatabase, replicas: Replicas
) -> None:
    order_ids = [uuid4() for _ in range(15)]
    events = [event for order_id in order_ids for event in history(order_id)]
    events += [with_new_ids(event) for event in events]
    random.shuffle(events)

    async def process(replica: Replica) -> None:
        while events:
            batch, events[:7] = events[:7], []
            assert set(await replica.process(*batch)) == {Verdict.ACK}

    await asyncio.gather(*(process(replica) for replica in replicas))
    for order_id in order_ids:
        assert await topics(db, order_id) == Counter(TOPICS)


async def test_an_event_concurrent_with_its_contact_is_not_lost(db: ServiceDatabase, replicas: Replicas) -> None:
    """The second transaction must see the rows that the first one stored while it waited for the lock."""
    for _ in range(60):
        order_id = uuid4()
        event = event_of(OrderConfirmed(customer="ada"), subject=order_id)
        await asyncio.gather(replicas[0].process(event), replicas[1].process(created(order_id)))
        assert await topics(db, order_id) == Counter(["order.confirmed"])


async def test_an_event_that_waited_is_notified_with_its_own_cause_and_an_expiry(
    db: ServiceDatabase, replicas: Replicas
) -> None:
    order_id = uuid4()
    event = event_of(
        OrderPaid(customer="ada", total_cents=1, currency="EUR"), subject=order_id, traceparent="00-a-b-01"
    )
    await replicas[0].process(event)
    assert [row[0] for row in await db.sql("SELECT topic FROM notification.waiting WHERE order_id = $1", order_id)] == [
        "order.paid"
    ]
    await replicas[1].process(created(order_id))
    [message] = [event for event in await db.outbox_events("notification") if event.subject == order_id]
    assert (message.causationid, message.traceparent) == (event.id, "00-a-b-01")
    [(expires,)] = await db.sql(
        "SELECT expires_ms FROM notification.outbox WHERE convert_from(body, 'UTF8')::json ->> 'subject' = $1",
        str(order_id),
    )
    assert expires == 24 * 60 * 60 * 1000


async def test_a_customer_without_a_contact_gets_an_address_of_the_domain(
    db: ServiceDatabase, replicas: Replicas
) -> None:
    order_id = uuid4()
    await replicas[0].process(created(order_id, Contact()), event_of(OrderConfirmed(customer="ada"), subject=order_id))
    [message] = [event for event in await db.outbox_events("notification") if event.subject == order_id]
    assert message.data.contact == Contact(email="ada@shop.test")


async def test_an_event_without_a_template_stores_nothing(db: ServiceDatabase, replicas: Replicas) -> None:
    order_id = uuid4()
    await replicas[0].process(event_of(OrderDeliveryConfirmed(customer="ada"), subject=order_id))
    assert await db.sql("SELECT FROM notification.conversations WHERE order_id = $1", order_id) == []
