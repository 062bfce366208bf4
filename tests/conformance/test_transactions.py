"""Guarantees 1, 2, 3, 5, 6: one transaction, nothing lost, no second effect, no gap, batches that fall apart well."""

from collections.abc import Iterable
from itertools import pairwise
from uuid import uuid4

import msgspec

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed, OrderPaid
from tests.conformance.driver import Driver, Notes, note
from warren_messaging import PermanentError, TransientError, new_id
from warren_messaging.testing import event_of, with_new_ids

CONFIRMED = OrderConfirmed(customer="gayal")
COMPLETED = OrderCompleted(customer="gayal")


async def note_and_say(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
    work.note(event)
    return [COMPLETED]


async def test_1_state_and_announcement_come_together(driver: Driver) -> None:
    event = event_of(CONFIRMED)
    async with driver.consume({OrderConfirmed: note_and_say}) as line:
        await line.deliver(event)
        assert await line.noted() == [event.logicalid]
        assert [said.data for said in await line.announced()] == [COMPLETED]


async def test_1_a_handler_that_fails_leaves_neither_state_nor_announcement(driver: Driver) -> None:
    async def say_then_fail(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        work.announce(COMPLETED, cause=event)
        work.note(event)
        raise PermanentError("changed my mind")

    async with driver.consume({OrderConfirmed: say_then_fail}) as line:
        await line.deliver(event_of(CONFIRMED))
        assert await line.noted() == []
        assert await line.announced() == []


async def test_1_a_handler_that_fails_first_and_then_succeeds_has_its_effect_once(driver: Driver) -> None:
    tries = []

    async def second_time(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        work.announce(COMPLETED, cause=event)
        work.note(event)
        tries.append(event)
        if len(tries) < 3:
            raise TransientError("not yet")
        return ()

    event = event_of(CONFIRMED)
    async with driver.consume({OrderConfirmed: second_time}) as line:
        await line.deliver(event)
        assert await line.noted() == [event.logicalid]
        (said,) = await line.announced()
        assert said.sourcesequence == 1


async def test_2_everything_that_is_committed_is_published_and_nothing_else(driver: Driver) -> None:
    async def say_or_fail(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        work.announce(COMPLETED, cause=event)
        if event.reference == "bad":
            raise PermanentError("bad")
        return [COMPLETED]

    events = [event_of(CONFIRMED, reference="good" if n % 7 else "bad") for n in range(140)]
    async with driver.consume({OrderConfirmed: say_or_fail}) as line:
        await line.deliver(*events)
        said = await line.announced()
    good = [event.subject for event in events if event.reference == "good"]
    assert sorted(event.subject for event in said) == sorted(good * 2)
    assert len({event.id for event in said}) == len(said), "without a fault, each is published once"


async def test_3_a_repeated_event_has_no_second_effect(driver: Driver) -> None:
    event = event_of(CONFIRMED)
    async with driver.consume({OrderConfirmed: note_and_say}) as line:
        await line.deliver(*[event] * 5)
        await line.deliver(*[event] * 3)
        assert await line.noted() == [event.logicalid]
        assert len(await line.announced()) == 1
        assert line.repeated() == 7


async def test_3_two_replicas_that_get_the_same_events_at_the_same_time_share_them(driver: Driver) -> None:
    events = [event_of(CONFIRMED) for _ in range(40)]
    async with driver.consume({OrderConfirmed: note_and_say}, replicas=2) as line:
        await line.deliver(*(event for event in events for _ in range(4)))
        assert sorted(await line.noted()) == sorted(event.logicalid for event in events)
        assert len(await line.announced()) == 40
        assert line.repeated() == 120


async def test_3_two_versions_of_one_fact_are_one(driver: Driver) -> None:
    event = event_of(CONFIRMED)
    newer = msgspec.structs.replace(event, id=new_id(), data=OrderConfirmed(customer="gayal again"))
    async with driver.consume({OrderConfirmed: note}) as line:
        await line.deliver(event, newer)
        await line.deliver(newer)
        assert await line.noted() == [event.logicalid]


async def test_3_the_same_words_said_anew_are_another_event(driver: Driver) -> None:
    event = event_of(CONFIRMED)
    async with driver.consume({OrderConfirmed: note}) as line:
        await line.deliver(event, with_new_ids(event))
        assert len(await line.noted()) == 2


async def test_5_numbers_count_each_subject_from_one_without_a_gap(driver: Driver) -> None:
    subjects = [uuid4() for _ in range(5)]
    events = [event_of(CONFIRMED, subject=subject) for subject in subjects for _ in range(20)]
    async with driver.consume({OrderConfirmed: note_and_say}) as line:
        await line.deliver(*events[:70])
        await line.deliver(*events[70:])
        said = await line.announced()
    for subject in subjects:
        assert [event.sourcesequence for event in said if event.subject == subject] == list(range(1, 21))


async def test_5_a_failed_transaction_uses_up_no_number(driver: Driver) -> None:
    async def refuse_some(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        work.announce(COMPLETED, cause=event)
        if event.reference == "bad":
            raise PermanentError("bad")
        return ()

    subject = uuid4()
    events = [event_of(CONFIRMED, subject=subject, reference="bad" if n % 3 else "good") for n in range(12)]
    async with driver.consume({OrderConfirmed: refuse_some}) as line:
        await line.deliver(*events)
        assert sorted(said.sourcesequence for said in await line.announced()) == [1, 2, 3, 4]


async def test_5_what_follows_names_its_cause(driver: Driver) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    cause = event_of(CONFIRMED, reference="123", traceparent=trace, priority=8)
    async with driver.consume({OrderConfirmed: note_and_say}) as line:
        await line.deliver(cause)
        (said,) = await line.announced()
    assert (said.causationid, said.subject, said.reference) == (cause.id, cause.subject, "123")
    assert (said.traceparent, said.priority) == (trace, 8)
    assert (said.source, said.type, said.id) == ("/warren/probe", "order.completed", said.logicalid)
    assert said.time >= cause.time


async def test_6_deliveries_that_wait_together_share_transactions(driver: Driver) -> None:
    async with driver.consume({OrderConfirmed: note}) as line:
        await line.deliver(*(event_of(CONFIRMED) for _ in range(300)), together=True)
        assert sum(line.batches()) == 300
        assert len(line.batches()) < 30
        assert max(line.batches()) <= 100


async def test_6_a_batch_that_fails_falls_back_to_one_by_one_and_blames_only_who_failed(driver: Driver) -> None:
    async def refuse_one(event: Event[EventData], work: Notes) -> Iterable[EventData]:
        if event.reference == "bad":
            raise PermanentError("bad")
        return await note(event, work)

    good = [event_of(CONFIRMED) for _ in range(20)]
    bad = event_of(OrderPaid(customer="gayal", total_cents=1, currency="EUR"), reference="bad")
    async with driver.consume({OrderConfirmed: refuse_one, OrderPaid: refuse_one}) as line:
        await line.deliver(*good[:10], bad, *good[10:])
        assert sorted(await line.noted()) == sorted(event.logicalid for event in good)
        assert [lost.reason for lost in await line.parked()] == ["bad"]
        assert len(line.failures()) == 1


async def test_5_one_process_announces_in_the_order_of_its_commits(driver: Driver) -> None:
    async with driver.consume({OrderConfirmed: note_and_say}) as line:
        subject = uuid4()
        for _ in range(5):
            await line.deliver(*(event_of(CONFIRMED, subject=subject) for _ in range(10)))
        numbers = [event.sourcesequence for event in await line.announced()]
    assert all(one < other for one, other in pairwise(numbers)), numbers
