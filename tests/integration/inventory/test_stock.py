"""Stock on the real database, with two replicas: no piece is oversold, lost or reserved for ever."""

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from services.inventory.handlers import HANDLERS
from services.shared.contracts import AnyEvent, EventData
from services.shared.contracts.inventory import InventoryOutOfStock, InventoryReleased
from services.shared.contracts.orders import EXPRESS_PRIORITY, Line, OrderCancelling, OrderCreated, Participant
from services.shared.contracts.payments import PaymentSuccess
from tests.events import cancelling, order_created, payment_success
from tests.integration.inventory.conftest import InventoryEnv
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of, with_new_ids


def created(*lines: tuple[str, int], express: bool = False) -> AnyEvent:
    return event_of(order_created(*lines, express=express), priority=EXPRESS_PRIORITY if express else None)


async def test_a_hundred_orders_for_the_last_piece_over_two_replicas_sell_it_once(env: InventoryEnv) -> None:
    sku = await env.article(1)
    orders = [created((sku, 1)) for _ in range(100)]
    verdicts = await asyncio.gather(
        *(env.replicas[number % 2].process(*orders[start : start + 5]) for number, start in enumerate(range(0, 100, 5)))
    )
    assert {verdict for batch in verdicts for verdict in batch} == {Verdict.ACK}
    assert await env.counts(sku) == (0, 1, 0)
    assert await env.event_counts(orders) == {"inventory.reserved": 1, "inventory.out_of_stock": 99}
    await env.assert_conserved()


async def test_the_stock_after_each_step_of_an_order(env: InventoryEnv) -> None:
    mug, teapot = await env.article(5), await env.article(1)
    order = created((mug, 2), (teapot, 1))
    await env.replicas[0].process(order)
    assert (await env.counts(mug), await env.counts(teapot)) == ((3, 2, 0), (0, 1, 0))
    await env.replicas[1].process(payment_success(order.subject))
    assert (await env.counts(mug), await env.state(order.subject)) == ((3, 0, 2), "sold")
    await env.replicas[0].process(cancelling(order.subject))
    assert (await env.counts(mug), await env.state(order.subject)) == ((5, 0, 0), "released")
    assert [event.type for event in await env.published(order.subject)] == [
        "inventory.reserved",
        "inventory.committed",
        "inventory.released",
    ]


async def test_missing_quantities_are_named(env: InventoryEnv) -> None:
    mug = await env.article(1)
    order = created((mug, 3), ("never-seen", 2))
    await env.replicas[0].process(order)
    published = await env.published(order.subject)
    assert [event.data for event in published] == [
        InventoryOutOfStock(customer="ada", missing=[Line(mug, 2), Line("never-seen", 2)])
    ]
    assert await env.counts(mug) == (1, 0, 0)


async def test_the_first_phase_of_a_cancellation_stores_nothing(env: InventoryEnv) -> None:
    sku = await env.article(1)
    order = created((sku, 1))
    await env.replicas[0].process(cancelling(order.subject, Participant.SHIPPING))
    assert await env.state(order.subject) is None
    await env.replicas[0].process(order, cancelling(order.subject, Participant.SHIPPING))
    assert await env.counts(sku) == (0, 1, 0)


async def test_an_order_cancelled_before_it_arrives_never_reserves(env: InventoryEnv) -> None:
    sku = await env.article(1)
    order = created((sku, 1))
    await env.replicas[0].process(cancelling(order.subject))
    await env.replicas[1].process(order)
    await env.replicas[0].process(payment_success(order.subject), with_new_ids(cancelling(order.subject)))
    assert await env.counts(sku) == (1, 0, 0)
    published = await env.published(order.subject)
    assert [event.data for event in published] == [InventoryReleased(lines=[])]


@pytest.mark.parametrize("round_", range(3))
async def test_cancelled_orders_hold_no_stock_after_concurrent_events(env: InventoryEnv, round_: int) -> None:
    skus = [await env.article(30) for _ in range(4)]
    orders = [created(*((sku, random.randint(1, 3)) for sku in random.sample(skus, 2))) for _ in range(40)]
    events = [*orders]
    for order in orders:
        events += [payment_success(order.subject), cancelling(order.subject), with_new_ids(order)]
    events += random.sample(events, 40)
    random.shuffle(events)
    batches = [events[start : start + 20] for start in range(0, len(events), 20)]
    verdicts = await asyncio.gather(*(env.replicas[n % 2].process(*batch) for n, batch in enumerate(batches)))
    assert {verdict for batch in verdicts for verdict in batch} == {Verdict.ACK}
    assert [replica.telemetry.failures for replica in env.replicas] == [[], []]
    for sku in skus:
        assert await env.counts(sku) == (30, 0, 0)
    assert (await env.event_counts(orders))["inventory.released"] == 40
    await env.assert_conserved()


async def test_paid_orders_buy_what_they_reserved_after_concurrent_events(env: InventoryEnv) -> None:
    skus = [await env.article(25) for _ in range(3)]
    orders = [created(*((sku, random.randint(1, 3)) for sku in random.sample(skus, 2))) for _ in range(60)]
    events = [*orders, *(payment_success(order.subject) for order in orders)]
    events += random.sample(events, 30)
    random.shuffle(events)
    batches = [events[start : start + 15] for start in range(0, len(events), 15)]
    await asyncio.gather(*(env.replicas[n % 2].process(*batch) for n, batch in enumerate(batches)))
    published = await env.event_counts(orders)
    assert published["inventory.reserved"] == published["inventory.committed"]
    assert published["inventory.reserved"] + published["inventory.out_of_stock"] == 60
    assert published["inventory.out_of_stock"] > 0
    for sku in skus:
        assert (await env.counts(sku))[1] == 0
    await env.assert_conserved()


async def test_a_batch_for_one_article_needs_at_most_ten_statements(
    env: InventoryEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    sku = await env.article(1000)
    orders = [created((sku, 1)) for _ in range(100)]
    statements: list[str] = []
    for name in ("execute", "fetch"):
        original = getattr(asyncpg.Connection, name)

        def counted(self: Any, query: str, *arguments: Any, _original: Any = original, **options: Any) -> Any:
            statements.append(query)
            return _original(self, query, *arguments, **options)

        monkeypatch.setattr(asyncpg.Connection, name, counted)
    await env.replicas[0].process(*orders)
    spent = len(statements)
    assert await env.counts(sku) == (900, 100, 0)
    # Begin, inbox, two for reservations, stock, two to save, sequences, outbox, commit.
    assert spent <= 10, statements


async def test_an_invalid_order_is_parked_without_its_batch(env: InventoryEnv) -> None:
    sku = await env.article(5)
    good, bad = created((sku, 1)), created((sku, -1))
    assert await env.replicas[0].process(good, bad) == [Verdict.ACK, Verdict.DEAD_LETTER]
    assert await env.counts(sku) == (4, 1, 0)


async def test_a_reservation_of_an_express_order_keeps_its_priority(env: InventoryEnv) -> None:
    sku = await env.article(5)
    await env.replicas[0].process(created((sku, 1), express=True))
    assert (await env.db.outbox_events("inventory"))[-1].priority == 8


@pytest.mark.parametrize("change", ["on_hand = -1, received = -1", "reserved = 1", "received = 7"])
async def test_the_database_refuses_inconsistent_stock(env: InventoryEnv, change: str) -> None:
    sku = await env.article(5)
    with pytest.raises(asyncpg.CheckViolationError):
        await env.db.sql(f"UPDATE inventory.stock SET {change} WHERE sku = $1", sku)  # noqa: S608


def test_every_event_of_the_queue_has_a_handler() -> None:
    wanted: set[type[EventData]] = {OrderCreated, PaymentSuccess, OrderCancelling}
    assert set(HANDLERS) == wanted
