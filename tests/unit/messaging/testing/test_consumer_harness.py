"""The test harness that authors of handlers use. tests/conformance checks that it keeps the guarantees."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed, OrderPaid
from warren_messaging import (
    CircuitBreaker,
    DatabaseUnavailable,
    DownstreamUnavailable,
    Effect,
    PermanentError,
    RateLimit,
    RetryPolicy,
    Transaction,
    TransientError,
    Verdict,
)
from warren_messaging.testing import ConsumerHarness, InMemoryBroker, InMemoryDatabase, NeedsDatabase, event_of

CONFIRMED = OrderConfirmed(customer="gayal")
COMPLETED = OrderCompleted(customer="gayal")
PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")


async def complete(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
    return [COMPLETED]


async def test_data_events_and_bodies_can_be_delivered() -> None:
    harness = ConsumerHarness({OrderConfirmed: complete})
    verdicts = [each.verdict for each in await harness.deliver(CONFIRMED, event_of(CONFIRMED), b"rubbish")]
    assert sorted(verdict.name for verdict in verdicts) == ["ACK", "ACK", "DEAD_LETTER"]
    assert harness.announced == [COMPLETED, COMPLETED]
    assert [lost.body for lost in harness.parked] == [b"rubbish"]


async def test_each_attempt_has_a_number_a_time_and_a_reason() -> None:
    async def busy(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        raise TransientError("busy")

    harness = ConsumerHarness(
        {OrderConfirmed: busy}, retry=RetryPolicy(attempts=4), retry_min_seconds=10, retry_max_seconds=25
    )
    attempts = await harness.deliver(CONFIRMED)
    assert [(each.number, each.at, each.verdict.name) for each in attempts] == [
        (1, 0, "RETRY"),
        (2, 10, "RETRY"),
        (3, 30, "RETRY"),
        (4, 55, "DEAD_LETTER"),
    ]
    assert {each.reason for each in attempts} == {"TransientError: busy"}
    assert (harness.parked[0].attempts, harness.clock, harness.waiting) == (4, 55, 0)


async def test_sql_without_a_database_fails_the_test_and_not_the_message() -> None:
    async def store(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        await uow.connection.execute("INSERT INTO points VALUES (1)")
        return ()

    with pytest.raises(NeedsDatabase, match="INSERT INTO points"):
        await ConsumerHarness({OrderConfirmed: store}).deliver(CONFIRMED)


async def test_an_effect_stub_replaces_the_call_and_every_call_is_kept() -> None:
    async def prepare(event: Event[OrderPaid], uow: Transaction) -> str:
        return str(event.subject)

    async def never(intent: str) -> str:
        raise AssertionError("the stub was not used")

    async def complete_effect(
        event: Event[OrderPaid], intent: str, result: str, uow: Transaction
    ) -> Iterable[EventData]:
        return [OrderCompleted(customer=result)]

    async def stand_in(intent: str) -> str:
        return "stub"

    event = event_of(PAID)
    harness = ConsumerHarness({OrderPaid: Effect(prepare, never, complete_effect)}, effect_stubs={OrderPaid: stand_in})
    await harness.deliver(event, copies=3)
    assert harness.performed == [str(event.subject)]
    assert harness.announced == [OrderCompleted(customer="stub")]


async def test_a_circuit_breaker_follows_the_clock_and_one_that_never_closes_fails_the_test() -> None:
    async def prepare(event: Event[OrderPaid], uow: Transaction) -> str:
        return str(event.subject)

    async def fail(intent: str) -> None:
        if harness.clock < restored:
            raise TransientError("the gateway is unavailable")

    async def complete_effect(
        event: Event[OrderPaid], intent: str, result: None, uow: Transaction
    ) -> Iterable[EventData]:
        return [COMPLETED]

    effect = Effect(prepare, fail, complete_effect, CircuitBreaker("gateway"), RateLimit("gateway", per_second=0.01))
    restored = 3600.0
    harness = ConsumerHarness({OrderPaid: effect}, retry=RetryPolicy(attempts=2))
    await harness.deliver(*[PAID] * 20)
    assert harness.parked == []
    assert len(harness.announced) == 20
    restored = float("inf")
    with pytest.raises(DownstreamUnavailable, match="circuit breaker 'gateway': open"):
        await harness.deliver(*[PAID] * 20)


async def test_redelivery_of_all_messages_changes_nothing() -> None:
    harness = ConsumerHarness({OrderConfirmed: complete})
    await harness.deliver(*[CONFIRMED] * 10)
    attempts = await harness.redeliver(seed=1)
    assert [each.verdict for each in attempts] == [Verdict.ACK] * 10
    assert (len(harness.announced), len(harness.repeated)) == (10, 10)


async def test_parked_messages_can_be_replayed() -> None:
    mended = False

    async def mend(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        if not mended:
            raise PermanentError("broken")
        return [COMPLETED]

    harness = ConsumerHarness({OrderConfirmed: mend})
    await harness.deliver(CONFIRMED)
    mended = True
    assert [each.verdict for each in await harness.replay()] == [Verdict.ACK]
    assert (harness.parked, harness.announced) == ([], [COMPLETED])


async def test_a_ticker_announces_events() -> None:
    async def overdue(uow: Transaction) -> int:
        uow.announce(COMPLETED, subject=uuid4(), reference="123", expires_ms=500)
        return 1

    harness: ConsumerHarness[Transaction] = ConsumerHarness({}, exchange="elsewhere", service="clock")
    assert await harness.run_job(overdue) == 1
    assert [(event.source, event.reference) for event in harness.events] == [("/warren/clock", "123")]
    assert [(message.exchange, message.expires_ms) for message in harness.messages] == [("elsewhere", 500)]


async def test_an_unavailable_server_counts_as_no_failure_and_leaves_the_message_in_the_queue() -> None:
    away = True

    async def reach(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        if away:
            raise DatabaseUnavailable("unavailable")
        return [COMPLETED]

    harness = ConsumerHarness({OrderConfirmed: reach})
    with pytest.raises(DatabaseUnavailable):
        await harness.deliver(CONFIRMED)
    assert (harness.attempts, harness.waiting) == ([], 1)
    away = False
    await harness.run()
    assert harness.announced == [COMPLETED]


async def test_a_seed_determines_the_order_of_deliveries() -> None:
    async def order(seed: int) -> list[str]:
        seen: list[str] = []

        async def note(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
            seen.append(event.reference or "")
            return ()

        events = [event_of(CONFIRMED, reference=str(number)) for number in range(50)]
        await ConsumerHarness({OrderConfirmed: note}).deliver(*events, seed=seed)
        return seen

    assert await order(1) == await order(1) != await order(2)
    assert sorted(await order(2), key=int) == [str(number) for number in range(50)]


async def test_replicas_can_share_a_database() -> None:
    database = InMemoryDatabase()
    one, two = (ConsumerHarness({OrderConfirmed: complete}, database=database) for _ in range(2))
    event = event_of(CONFIRMED)
    await one.deliver(event)
    await two.deliver(event)
    assert (one.announced, two.announced) == ([COMPLETED], [])


async def test_a_broker_routes_events_between_harnesses_until_all_queues_are_empty() -> None:
    async def pay(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        return [PAID]

    shop, bank = (
        ConsumerHarness({OrderPaid: complete}, service="order"),
        ConsumerHarness({OrderConfirmed: pay}, service="payment"),
    )
    broker = InMemoryBroker(shop, bank, seed=3, copies=4)
    first = event_of(CONFIRMED)
    broker.publish(first)
    await broker.run()
    assert (bank.announced, shop.announced) == ([PAID], [COMPLETED])
    assert [event.causationid for event in shop.events] == [bank.events[0].id]
    assert [event.type for event in broker.unrouted] == ["order.completed"]


async def test_scheduled_messages_are_shown_and_published_when_the_clock_is_advanced() -> None:
    due = datetime.now(UTC) + timedelta(seconds=60)

    async def remind(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        uow.announce(COMPLETED, cause=event, deliver_at=due, exchange="other.exchange")
        return ()

    harness, event = ConsumerHarness({OrderConfirmed: remind}), event_of(CONFIRMED)
    await harness.deliver(event)
    (waiting,) = await harness.scheduled()
    assert (waiting.event.data, waiting.due_at, waiting.exchange) == (COMPLETED, due, "other.exchange")
    await harness.advance(50)
    assert harness.announced == []
    await harness.advance(11)
    assert harness.announced == [COMPLETED]
    assert (harness.messages[0].exchange, harness.events[0].id) == ("other.exchange", waiting.event.id)
    assert (await harness.scheduled(), harness.clock) == ([], 61)


async def test_a_broker_advances_the_clocks_of_all_harnesses() -> None:
    async def remind(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        uow.announce(COMPLETED, cause=event, deliver_at=datetime.now(UTC) + timedelta(seconds=60))
        return ()

    async def ignore(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        return ()

    orders, audit = ConsumerHarness({OrderConfirmed: remind}), ConsumerHarness({OrderCompleted: ignore})
    broker = InMemoryBroker(orders, audit)
    broker.publish(event_of(CONFIRMED))
    await broker.run()
    assert audit.attempts == []
    await broker.advance(61)
    assert [attempt.event.data for attempt in audit.attempts if attempt.event] == [COMPLETED]
