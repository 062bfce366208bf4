"""The whole saga with every event repeated and reordered: each order ends as it must, whatever arrived first.

Guarantees 3 and 5. All services' real handlers on a real database; only the way between them is a double, because a
broker cannot be made to reorder. A seed that fails is printed, and fails again.
"""

import asyncio
import dataclasses
import random
from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest

from devtools import invariants
from devtools.servers.servers import Servers
from services.shared.contracts import CATALOGUE, EventData
from services.shared.contracts.orders import CancelReason, OrderCancelRequested, OrderDeliveryConfirmed
from tests.conformance.shop import TABLES, Shop, opened
from tests.conftest import SEED
from tests.service_replica import ServiceDatabase
from warren_messaging import Transaction, new_id
from warren_messaging.testing import InMemoryBroker

ORDERS = 40  # in a wave
WAVES = 10  # at most, until every service has seen every event that it knows, and seen it again
SEEDS = [SEED, *(pytest.param(SEED + n, marks=pytest.mark.long) for n in range(1, 60))]
PAYMENTS = ("tok_ok", "tok_ok", "tok_ok", "tok_declined", "tok_flaky")


@pytest.fixture(scope="module")
def db(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceDatabase]:
    db = ServiceDatabase(servers, tmp_path_factory.mktemp("secrets"))
    asyncio.run(db.prepare(*TABLES, "gateway"))
    yield db


@pytest.mark.parametrize("seed", SEEDS)
async def test_5_every_disorder_of_the_saga_ends_well(
    servers: Servers, db: ServiceDatabase, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    orders: list[UUID] = []
    async with opened(db) as shop:
        await shop.stock(mug=10_000, rare=5)
        broker = InMemoryBroker(*shop.services.values(), seed=seed, copies=3)
        for _ in range(WAVES):
            orders += await play(shop, broker, chance)
            await judge(servers, db, monkeypatch, orders)
            if not unseen(shop):
                break
        assert unseen(shop) == {}
        assert broker.unrouted == []

        before = {name: (list(service.events), list(service.performed)) for name, service in shop.services.items()}
        for service in shop.services.values():
            await service.redeliver(seed=seed)
        assert {name: (service.events, service.performed) for name, service in shop.services.items()} == before
        await judge(servers, db, monkeypatch, orders)
        check_told_once(shop)


async def play(shop: Shop, broker: InMemoryBroker, chance: random.Random) -> list[UUID]:
    """A wave of orders from placing to their end; half of them are cancelled at some moment."""
    orders = [new_id() for _ in range(ORDERS)]
    for order in orders:
        sku = chance.choice(["mug"] * 5 + ["rare"])
        await shop.place(order, str(order), pays_with=chance.choice(PAYMENTS), sku=sku)
    for order in chance.sample(orders, ORDERS // 2):
        for _ in range(chance.randint(0, 4)):
            await broker.step()
        await say(shop, order, OrderCancelRequested(reason=CancelReason.FRAUD))
    await broker.run()
    # The customers' part, once their parcels are on the way.
    for (order,) in await shop.db.sql("SELECT id FROM \"order\".orders WHERE state = 'SHIPPED'"):
        await say(shop, order, OrderDeliveryConfirmed(customer="gayal"))
    await broker.run()
    return orders


async def say(shop: Shop, order: UUID, data: EventData) -> None:
    """What the HTTP process announces without being told to by an event."""
    async with shop.services["order"].outbox.transaction(Transaction) as work:
        work.announce(data, subject=order, reference=str(order))


async def judge(servers: Servers, db: ServiceDatabase, monkeypatch: pytest.MonkeyPatch, orders: list[UUID]) -> None:
    """The same invariants that the demo and the load test end with."""

    async def no_queues(*_: object) -> dict[str, int]:
        return {}

    monkeypatch.setattr(invariants, "queue_depths", no_queues)
    database = dataclasses.replace(servers.postgres.address, database=db.name)
    checks = await invariants.check_invariants(database, servers.broker.address, accepted=orders)
    # Nobody has confirmed what left the outboxes.
    broken = [f"{check.name}: {check.detail}" for check in checks if not check.held and "outbox" not in check.name]
    assert broken == []


def unseen(shop: Shop) -> dict[str, set[str]]:
    """What each service knows and was not handed twice yet."""
    missing = {}
    for name, service in shop.services.items():
        assert service.parked == []
        knows = {data.TYPE for data in service.handlers if data is not EventData} or CATALOGUE.keys() - {
            "notification.requested"
        }
        missing[name] = knows - {event.type for event in service.repeated}
    return {name: types for name, types in missing.items() if types}


def check_told_once(shop: Shop) -> None:
    """One mail for each notification, and each event announced once for each of its causes."""
    mails = Counter(mail["Message-ID"] for mail in shop.mails.sent)
    assert set(mails.values()) == {1}
    assert len(mails) == len(shop.services["notification"].events)
    for name, service in shop.services.items():
        numbers = Counter((event.subject, event.sourcesequence) for event in service.events)
        assert set(numbers.values()) <= {1}, f"{name} used a number twice"
