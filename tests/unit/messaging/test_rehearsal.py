"""The doubles themselves: what authors of handlers see. That they keep the guarantees is for tests/conformance."""

from collections.abc import Iterable
from uuid import uuid4

import pytest

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed, OrderPaid
from warren_messaging import (
    DatabaseUnavailable,
    Effect,
    PermanentError,
    RetryPolicy,
    Transaction,
    TransientError,
    Verdict,
)
from warren_messaging.testing import ConsumerHarness, InMemoryBroker, InMemoryDatabase, NeedsDatabase, event_of

CONFIRMED = OrderConfirmed(customer="gayal")
COMPLETED = OrderCompleted(customer="gayal")
PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")


async def complete(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
    return [COMPLETED]


async def test_data_events_and_bodies_may_be_delivered() -> None:
    rehearsal = ConsumerHarness({OrderConfirmed: complete})
    verdicts = [each.verdict for each in await rehearsal.deliver(CONFIRMED, event_of(CONFIRMED), b"rubbish")]
    assert sorted(verdict.name for verdict in verdicts) == ["ACK", "ACK", "DEAD_LETTER"]
    assert rehearsal.announced == [COMPLETED, COMPLETED]
    assert [lost.body for lost in rehearsal.parked] == [b"rubbish"]


async def test_each_attempt_has_its_number_its_time_and_its_reason() -> None:
    async def busy(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
        raise TransientError("busy")

    rehearsal = ConsumerHarness({OrderConfirmed: busy}, retry=RetryPolicy(attempts=4), first_wait=10, max_wait=25)
    attempts = await rehearsal.deliver(CONFIRMED)
    assert [(each.number, each.at, each.verdict.name) for each in attempts] == [
        (1, 0, "RETRY"),
        (2, 10, "RETRY"),
        (3, 30, "RETRY"),
        (4, 55, "DEAD_LETTER"),
    ]
    assert {each.reason for each in attempts} == {"TransientError: busy"}
    assert (rehearsal.parked[0].attempts, rehearsal.clock, rehearsal.waiting) == (4, 55, 0)


async def test_sql_without_a_database_is_an_error_of_the_test_and_no_failed_message() -> None:
    async def store(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
        await work.connection.execute("INSERT INTO points VALUES (1)")
        return ()

    with pytest.raises(NeedsDatabase, match="INSERT INTO points"):
        await ConsumerHarness({OrderConfirmed: store}).deliver(CONFIRMED)


async def test_a_stand_in_answers_for_the_outside_world_and_every_call_is_kept() -> None:
    async def prepare(event: Event[OrderPaid], work: Transaction) -> str:
        return str(event.subject)

    async def never(intent: str) -> str:
        raise AssertionError("the real world was called")

    async def complete(event: Event[OrderPaid], intent: str, result: str, work: Transaction) -> Iterable[EventData]:
        return [OrderCompleted(customer=result)]

    async def stand_in(intent: str) -> str:
        return "somebody else"

    event = event_of(PAID)
    rehearsal = ConsumerHarness({OrderPaid: Effect(prepare, never, complete)}, effect_stubs={OrderPaid: stand_in})
    await rehearsal.deliver(event, copies=3)
    assert rehearsal.performed == [str(event.subject)]
    assert rehearsal.announced == [OrderCompleted(customer="somebody else")]


async def test_redelivery_repeats_everything_and_changes_nothing() -> None:
    rehearsal = ConsumerHarness({OrderConfirmed: complete})
    await rehearsal.deliver(*[CONFIRMED] * 10)
    attempts = await rehearsal.redeliver(seed=1)
    assert [each.verdict for each in attempts] == [Verdict.ACK] * 10
    assert (len(rehearsal.announced), len(rehearsal.repeated)) == (10, 10)


async def test_the_parking_lot_can_be_emptied_into_the_queue() -> None:
    mended = False

    async def mend(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
        if not mended:
            raise PermanentError("broken")
        return [COMPLETED]

    rehearsal = ConsumerHarness({OrderConfirmed: mend})
    await rehearsal.deliver(CONFIRMED)
    mended = True
    assert [each.verdict for each in await rehearsal.replay()] == [Verdict.ACK]
    assert (rehearsal.parked, rehearsal.announced) == ([], [COMPLETED])


async def test_a_ticker_announces_as_well() -> None:
    async def overdue(work: Transaction) -> int:
        work.announce(COMPLETED, subject=uuid4(), reference="123", expires_ms=500)
        return 1

    rehearsal: ConsumerHarness[Transaction] = ConsumerHarness({}, exchange="elsewhere", service="clock")
    assert await rehearsal.run_job(overdue) == 1
    assert [(event.source, event.reference) for event in rehearsal.events] == [("/warren/clock", "123")]
    assert [(message.exchange, message.expires_ms) for message in rehearsal.messages] == [("elsewhere", 500)]


async def test_a_server_that_is_away_blames_no_message_and_leaves_it_in_the_queue() -> None:
    away = True

    async def reach(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
        if away:
            raise DatabaseUnavailable("gone for lunch")
        return [COMPLETED]

    rehearsal = ConsumerHarness({OrderConfirmed: reach})
    with pytest.raises(DatabaseUnavailable):
        await rehearsal.deliver(CONFIRMED)
    assert (rehearsal.attempts, rehearsal.waiting) == ([], 1)
    away = False
    await rehearsal.run()
    assert rehearsal.announced == [COMPLETED]


async def test_the_same_seed_makes_the_same_disorder_and_another_one_another() -> None:
    async def order(seed: int) -> list[str]:
        seen: list[str] = []

        async def note(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
            seen.append(event.reference or "")
            return ()

        events = [event_of(CONFIRMED, reference=str(number)) for number in range(50)]
        await ConsumerHarness({OrderConfirmed: note}).deliver(*events, seed=seed)
        return seen

    assert await order(1) == await order(1) != await order(2)
    assert sorted(await order(2), key=int) == [str(number) for number in range(50)]


async def test_replicas_share_a_database() -> None:
    database = InMemoryDatabase()
    one, two = (ConsumerHarness({OrderConfirmed: complete}, database=database) for _ in range(2))
    event = event_of(CONFIRMED)
    await one.deliver(event)
    await two.deliver(event)
    assert (one.announced, two.announced) == ([COMPLETED], [])


async def test_a_conversation_goes_on_until_nobody_has_anything_to_say() -> None:
    async def pay(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
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
