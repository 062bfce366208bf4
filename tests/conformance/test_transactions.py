"""Guarantees 1, 2, 3, 5, 6: one transaction, no lost event, no second effect, no gap, and how a failed batch splits."""

from collections.abc import Iterable
from itertools import pairwise
from uuid import uuid4

import msgspec

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.conformance.backend import (
    COMPLETED,
    CONFIRMED,
    Backend,
    RecordingTransaction,
    fail_if_bad,
    record,
    record_and_announce,
)
from warren_messaging import PermanentError, TransientError, new_id
from warren_messaging.testing import event_of, with_new_ids


async def announce_unless_bad(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
    """Record the event and announce two events, one before the handler of an event with the reference "bad" fails."""
    uow.announce(COMPLETED, cause=event)
    uow.record(event)
    if event.reference == "bad":
        raise PermanentError("bad")
    return [COMPLETED]


async def test_1_state_and_announcement_are_stored_together(backend: Backend) -> None:
    event = event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: record_and_announce}) as queue:
        await queue.deliver(event)
        assert await queue.recorded() == [event.logicalid]
        assert [announced.data for announced in await queue.announced()] == [COMPLETED]


async def test_1_a_failed_handler_leaves_neither_state_nor_announcement(backend: Backend) -> None:
    async with backend.consume({OrderConfirmed: announce_unless_bad}) as queue:
        await queue.deliver(event_of(CONFIRMED, reference="bad"))
        assert await queue.recorded() == []
        assert await queue.announced() == []


async def test_1_a_handler_that_fails_first_and_succeeds_later_has_one_effect(backend: Backend) -> None:
    tries = []

    async def succeed_third_time(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        uow.announce(COMPLETED, cause=event)
        uow.record(event)
        tries.append(event)
        if len(tries) < 3:
            raise TransientError("not yet")
        return ()

    event = event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: succeed_third_time}) as queue:
        await queue.deliver(event)
        assert await queue.recorded() == [event.logicalid]
        (announced,) = await queue.announced()
        assert announced.sourcesequence == 1


async def test_2_exactly_the_committed_events_are_published(backend: Backend) -> None:
    events = [event_of(CONFIRMED, reference="good" if n % 7 else "bad") for n in range(140)]
    async with backend.consume({OrderConfirmed: announce_unless_bad}) as queue:
        await queue.deliver(*events)
        announced = await queue.announced()
    good = [event.subject for event in events if event.reference == "good"]
    assert sorted(event.subject for event in announced) == sorted(good * 2)
    assert len({event.id for event in announced}) == len(announced), "without a fault, each event is published once"


async def test_3_a_repeated_event_has_no_second_effect(backend: Backend) -> None:
    event = event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: record_and_announce}) as queue:
        await queue.deliver(*[event] * 5)
        await queue.deliver(*[event] * 3)
        assert await queue.recorded() == [event.logicalid]
        assert len(await queue.announced()) == 1
        assert queue.repeated() == 7


async def test_3_two_replicas_with_the_same_events_at_the_same_time_have_one_effect_per_event(backend: Backend) -> None:
    events = [event_of(CONFIRMED) for _ in range(40)]
    async with backend.consume({OrderConfirmed: record_and_announce}, replicas=2) as queue:
        await queue.deliver(*(event for event in events for _ in range(4)))
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in events)
        assert len(await queue.announced()) == 40
        assert queue.repeated() == 120


async def test_3_two_versions_of_one_event_have_one_effect(backend: Backend) -> None:
    event = event_of(CONFIRMED)
    newer = msgspec.structs.replace(event, id=new_id(), data=OrderConfirmed(customer="gayal again"))
    async with backend.consume({OrderConfirmed: record}) as queue:
        await queue.deliver(event, newer)
        await queue.deliver(newer)
        assert await queue.recorded() == [event.logicalid]


async def test_3_equal_data_with_new_ids_is_another_event(backend: Backend) -> None:
    event = event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: record}) as queue:
        await queue.deliver(event, with_new_ids(event))
        assert len(await queue.recorded()) == 2


async def test_5_sequence_numbers_of_each_subject_count_from_one_without_a_gap(backend: Backend) -> None:
    subjects = [uuid4() for _ in range(5)]
    events = [event_of(CONFIRMED, subject=subject) for subject in subjects for _ in range(20)]
    async with backend.consume({OrderConfirmed: record_and_announce}) as queue:
        await queue.deliver(*events[:70])
        await queue.deliver(*events[70:])
        announced = await queue.announced()
    for subject in subjects:
        assert [event.sourcesequence for event in announced if event.subject == subject] == list(range(1, 21))


async def test_5_a_failed_transaction_uses_no_sequence_number(backend: Backend) -> None:
    subject = uuid4()
    events = [event_of(CONFIRMED, subject=subject, reference="bad" if n % 3 else "good") for n in range(12)]
    async with backend.consume({OrderConfirmed: announce_unless_bad}) as queue:
        await queue.deliver(*events)
        assert sorted(announced.sourcesequence for announced in await queue.announced()) == list(range(1, 9))


async def test_5_an_announced_event_names_its_cause(backend: Backend) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    cause = event_of(CONFIRMED, reference="123", traceparent=trace, priority=8)
    async with backend.consume({OrderConfirmed: record_and_announce}) as queue:
        await queue.deliver(cause)
        (announced,) = await queue.announced()
    assert (announced.causationid, announced.subject, announced.reference) == (cause.id, cause.subject, "123")
    assert (announced.traceparent, announced.priority) == (trace, 8)
    assert (announced.source, announced.type, announced.id) == ("/warren/probe", "order.completed", announced.logicalid)
    assert announced.time >= cause.time


async def test_6_waiting_deliveries_share_transactions(backend: Backend) -> None:
    async with backend.consume({OrderConfirmed: record}) as queue:
        await queue.deliver(*(event_of(CONFIRMED) for _ in range(300)), together=True)
        assert sum(queue.batches()) == 300
        assert len(queue.batches()) < 30
        assert max(queue.batches()) <= 100


async def test_6_a_failed_batch_is_processed_one_by_one_and_only_the_cause_counts_as_failed(backend: Backend) -> None:
    good = [event_of(CONFIRMED) for _ in range(20)]
    bad = event_of(OrderPaid(customer="gayal", total_cents=1, currency="EUR"), reference="bad")
    handler = fail_if_bad(PermanentError("bad"))
    async with backend.consume({OrderConfirmed: handler, OrderPaid: handler}) as queue:
        await queue.deliver(*good[:10], bad, *good[10:])
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in good)
        assert [message.reason for message in await queue.parked()] == ["bad"]
        assert len(queue.failures()) == 1


async def test_5_one_process_announces_in_the_order_of_its_commits(backend: Backend) -> None:
    async with backend.consume({OrderConfirmed: record_and_announce}) as queue:
        subject = uuid4()
        for _ in range(5):
            await queue.deliver(*(event_of(CONFIRMED, subject=subject) for _ in range(10)))
        numbers = [event.sourcesequence for event in await queue.announced()]
    assert all(one < other for one, other in pairwise(numbers)), numbers
