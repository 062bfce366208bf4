"""Guarantees 3 and 5 for the whole saga: every order ends correctly when all events are repeated and reordered.

All services' real handlers run on a real database. Only the broker is a double, because a real one cannot be made to
reorder. A failing seed is printed and fails again.
"""

import dataclasses
import random
from collections import Counter
from uuid import UUID

import pytest

from devtools import invariants
from devtools.servers.servers import Servers
from services.shared.contracts import CATALOGUE, EventData
from services.shared.contracts.orders import CancelReason, OrderCancelRequested, OrderDeliveryConfirmed
from tests.conformance.service_harnesses import REMINDER_SECONDS, ServiceHarnesses, service_harnesses
from tests.conftest import SEED
from tests.service_replica import ServiceDatabase
from warren_messaging import Transaction, new_id
from warren_messaging.testing import InMemoryBroker

ORDERS = 40  # in each wave
MAX_WAVES = 10  # the test stops earlier, once every service has processed and repeated every event type it consumes
SEEDS = [SEED, *(pytest.param(SEED + n, marks=pytest.mark.long) for n in range(1, 60))]
PAYMENTS = ("tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_flaky")


@pytest.mark.parametrize("seed", SEEDS)
async def test_5_every_order_ends_correctly_in_any_order_of_events(
    servers: Servers, services_db: ServiceDatabase, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    rng = random.Random(seed)
    orders: list[UUID] = []
    async with service_harnesses(services_db) as services:
        await services.stock(mug=10_000, rare=5)
        harnesses = services.by_name
        broker = InMemoryBroker(*harnesses.values(), seed=seed, copies=3)
        for _ in range(MAX_WAVES):
            orders += await run_wave(services, broker, rng)
            await check_invariants(servers, services_db, monkeypatch, orders)
            assert await harnesses["order"].scheduled() == [], "an order that has ended has a reminder"
            if not not_repeated(services):
                break
        assert not_repeated(services) == {}
        assert broker.unrouted == []

        before = {name: (list(each.events), list(each.performed)) for name, each in harnesses.items()}
        for harness in harnesses.values():
            await harness.redeliver(seed=seed)
        assert {name: (each.events, each.performed) for name, each in harnesses.items()} == before
        await check_invariants(servers, services_db, monkeypatch, orders)
        check_nothing_is_sent_twice(services)


async def run_wave(services: ServiceHarnesses, broker: InMemoryBroker, rng: random.Random) -> list[UUID]:
    """Place orders and run them to their end; half of them are cancelled at a random moment."""
    orders = [new_id() for _ in range(ORDERS)]
    for number, order_id in enumerate(orders):
        if number == ORDERS // 2:
            await services.by_name["order"].advance(REMINDER_SECONDS)  # the first half waits for its payment
        sku = rng.choice(["mug"] * 5 + ["rare"])
        await services.place(order_id, pays_with=rng.choice(PAYMENTS), sku=sku, suspicious=rng.random() < 0.2)
    for order_id in rng.sample(orders, ORDERS // 2):
        for _ in range(rng.randint(0, 4)):
            await broker.step()
        await announce(services, order_id, OrderCancelRequested(reason=CancelReason.FRAUD))
    await broker.run()
    # The customers confirm the deliveries that are under way.
    for (order_id,) in await services.db.sql("SELECT id FROM \"order\".orders WHERE state = 'SHIPPED'"):
        await announce(services, order_id, OrderDeliveryConfirmed(customer="gayal"))
    await broker.run()
    return orders


async def announce(services: ServiceHarnesses, order_id: UUID, data: EventData) -> None:
    """Announce an event as the HTTP process does."""
    async with services.by_name["order"].outbox.transaction(Transaction) as uow:
        uow.announce(data, subject=order_id, reference=str(order_id))


async def check_invariants(
    servers: Servers, db: ServiceDatabase, monkeypatch: pytest.MonkeyPatch, orders: list[UUID]
) -> None:
    """Check the invariants that the demo and the load test check at their end."""

    async def no_queues(*_: object) -> dict[str, int]:
        return {}

    monkeypatch.setattr(invariants, "queue_depths", no_queues)
    database = dataclasses.replace(servers.postgres.endpoint, database=db.name)
    checks = await invariants.check_invariants(database, servers.broker.endpoints, accepted=orders)
    # No broker confirms events here, so they stay in the outboxes.
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held and "outbox" not in check.name]
    assert broken == []


def not_repeated(services: ServiceHarnesses) -> dict[str, set[str]]:
    """The event types that each service consumes and that were not yet delivered to it twice."""
    missing = {}
    for name, harness in services.by_name.items():
        assert harness.parked == []
        consumed = {data.TYPE for data in harness.handlers if data is not EventData} or CATALOGUE.keys() - {
            "notification.requested"
        }
        missing[name] = consumed - {event.type for event in harness.repeated}
    return {name: types for name, types in missing.items() if types}


def check_nothing_is_sent_twice(services: ServiceHarnesses) -> None:
    """Each notification leads to one mail, and each service uses each sequence number of a subject once."""
    mails = Counter(mail["Message-ID"] for mail in services.mails.sent)
    assert set(mails.values()) == {1}
    assert len(mails) == len(services.by_name["notification"].events)
    for name, harness in services.by_name.items():
        numbers = Counter((event.subject, event.sourcesequence) for event in harness.events)
        assert set(numbers.values()) <= {1}, f"{name} used a number twice"
