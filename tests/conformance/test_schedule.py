"""Scheduled messages: published once when they are due, in the order of their times, never after a cancellation.

Crash points need real processes: tests/integration/messaging/consumer/test_crash.py. Locks between replicas:
tests/integration/messaging/outbox/test_schedule.py.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed, OrderPaid, OrderShipped
from tests.conformance.backend import COMPLETED, CONFIRMED, Backend, Feature, RecordingTransaction, needs
from warren_messaging import PermanentError
from warren_messaging.testing import event_of

PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


class Schedule:
    """Handlers: `order.confirmed` schedules `order.completed`, `order.paid` about the same subject cancels that."""

    def __init__(self, seconds: float = 60.0, **fields: Any) -> None:
        self.ids: dict[UUID, UUID] = {}
        """Subject to the id of its scheduled message."""
        self._seconds = seconds
        self._fields = fields

    async def schedule(self, event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        uow.record(event)
        due = later(self._seconds)
        self.ids[event.subject] = uow.announce(COMPLETED, cause=event, deliver_at=due, **self._fields)
        return ()

    async def cancel_about(self, event: Event[OrderPaid], uow: RecordingTransaction) -> Iterable[EventData]:
        uow.cancel_scheduled_about(event.subject, OrderCompleted)
        return ()

    async def cancel(self, event: Event[OrderPaid], uow: RecordingTransaction) -> Iterable[EventData]:
        uow.record(event)
        uow.cancel_scheduled(self.ids[event.subject])
        return ()

    @property
    def handlers(self) -> Any:
        return {OrderConfirmed: self.schedule, OrderPaid: self.cancel}


async def test_a_scheduled_message_is_published_once_when_it_is_due(backend: Backend) -> None:
    schedule, event = Schedule(seconds=600), event_of(CONFIRMED)
    async with backend.consume(schedule.handlers) as queue:
        await queue.deliver(event)
        await queue.advance(500)
        assert await queue.announced() == []
        assert await queue.scheduled() == [schedule.ids[event.subject]]
        await queue.advance(101)
        (announced,) = await queue.announced()
        assert (announced.id, announced.subject) == (schedule.ids[event.subject], event.subject)
        assert await queue.scheduled() == []
        await queue.advance(600)
        assert await queue.announced() == [announced]


async def test_a_message_that_is_scheduled_for_a_past_time_is_published_at_once(backend: Backend) -> None:
    schedule, event = Schedule(seconds=-3600), event_of(CONFIRMED)
    async with backend.consume(schedule.handlers) as queue:
        await queue.deliver(event)
        assert [announced.id for announced in await queue.announced()] == [schedule.ids[event.subject]]


async def test_a_scheduled_event_keeps_its_attributes_and_names_its_cause(backend: Backend) -> None:
    schedule = Schedule(priority=7, expires_ms=3_600_000)
    event = event_of(CONFIRMED, reference="A-1", traceparent="00-a-b-01", priority=3)
    async with backend.consume(schedule.handlers) as queue:
        await queue.deliver(event)
        before = datetime.now(UTC)
        await queue.advance(61)
        (announced,) = await queue.announced()
    assert announced.causationid == event.id
    assert (announced.reference, announced.traceparent, announced.priority) == ("A-1", "00-a-b-01", 7)
    assert (announced.source, announced.type, announced.data) == ("/warren/probe", "order.completed", COMPLETED)
    assert before <= announced.time <= datetime.now(UTC), "the time of an event is that of its publication"


async def test_numbers_are_assigned_without_a_gap_when_messages_are_due(backend: Backend) -> None:
    names = ["third", "second", "now", "first", "second again"]
    times = {"third": 300.0, "first": 100.0, "second": 200.0, "second again": 200.0}

    async def announce_all(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        now = datetime.now(UTC)
        for name in names:
            due = now + timedelta(seconds=times[name]) if name in times else None
            uow.announce(OrderShipped(customer="gayal", tracking=name), cause=event, deliver_at=due)
        return ()

    async with backend.consume({OrderConfirmed: announce_all}) as queue:
        await queue.deliver(event_of(CONFIRMED))
        await queue.advance(250)
        await queue.advance(250)
        announced = await queue.announced()
    ordered = sorted(announced, key=lambda event: event.sourcesequence)
    assert [event.sourcesequence for event in ordered] == [1, 2, 3, 4, 5]
    assert [event.data.tracking for event in ordered] == ["now", "first", "second", "second again", "third"]
    assert announced == ordered, "they are published in the order of their numbers"


async def test_a_failed_handler_schedules_nothing_and_cancels_nothing(backend: Backend) -> None:
    async def fail(event: AnyEvent, uow: RecordingTransaction) -> Iterable[EventData]:
        uow.announce(COMPLETED, cause=event, deliver_at=later(60))
        uow.cancel_scheduled(*schedule.ids.values())
        raise PermanentError("refused")

    schedule, event = Schedule(), event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: schedule.schedule, OrderPaid: fail}) as queue:
        await queue.deliver(event)
        await queue.deliver(event_of(PAID, subject=event.subject))
        assert await queue.scheduled() == [schedule.ids[event.subject]]
        await queue.advance(61)
        assert [announced.id for announced in await queue.announced()] == [schedule.ids[event.subject]]


async def test_a_repeated_event_schedules_once(backend: Backend) -> None:
    schedule, event = Schedule(), event_of(CONFIRMED)
    async with backend.consume(schedule.handlers) as queue:
        await queue.deliver(event, event)
        await queue.deliver(event)
        assert await queue.scheduled() == [schedule.ids[event.subject]]


async def test_a_cancelled_message_is_never_published(backend: Backend) -> None:
    schedule, events = Schedule(), [event_of(CONFIRMED) for _ in range(20)]
    async with backend.consume(schedule.handlers) as queue:
        await queue.deliver(*events)
        await queue.deliver(*(event_of(PAID, subject=event.subject) for event in events[::2]))
        await queue.advance(61)
        announced = await queue.announced()
    assert sorted(event.subject for event in announced) == sorted(event.subject for event in events[1::2])


async def test_messages_about_a_subject_are_cancelled_by_their_type(backend: Backend) -> None:
    async def schedule_both(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        uow.announce(COMPLETED, cause=event, deliver_at=later(60))
        uow.announce(OrderShipped(customer="gayal", tracking="1"), cause=event, deliver_at=later(60))
        return ()

    first, second = event_of(CONFIRMED), event_of(CONFIRMED)
    handlers = {OrderConfirmed: schedule_both, OrderPaid: Schedule().cancel_about}
    async with backend.consume(handlers) as queue:
        await queue.deliver(first, second)
        await queue.deliver(event_of(PAID, subject=first.subject))
        await queue.advance(61)
        announced = {(event.subject, event.type) for event in await queue.announced()}
    assert announced == {
        (first.subject, "order.shipped"),
        (second.subject, "order.completed"),
        (second.subject, "order.shipped"),
    }


async def test_a_message_can_be_scheduled_again_in_the_transaction_that_cancels_it(backend: Backend) -> None:
    async def postpone(event: Event[OrderPaid], uow: RecordingTransaction) -> Iterable[EventData]:
        uow.cancel_scheduled_about(event.subject, OrderCompleted)
        uow.announce(COMPLETED, cause=event, deliver_at=later(600))
        return ()

    event = event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: Schedule().schedule, OrderPaid: postpone}) as queue:
        await queue.deliver(event)
        await queue.deliver(event_of(PAID, subject=event.subject))
        await queue.advance(61)
        assert (await queue.announced(), len(await queue.scheduled())) == ([], 1)
        await queue.advance(600)
        assert len(await queue.announced()) == 1


async def test_a_message_that_is_scheduled_and_cancelled_in_one_transaction_is_never_published(
    backend: Backend,
) -> None:
    async def change_mind(event: AnyEvent, uow: RecordingTransaction) -> Iterable[EventData]:
        uow.cancel_scheduled(uow.announce(COMPLETED, cause=event, deliver_at=later(60)))
        return ()

    async with backend.consume({OrderConfirmed: change_mind}) as queue:
        await queue.deliver(event_of(CONFIRMED))
        assert await queue.scheduled() == []


async def test_a_cancellation_that_comes_too_late_changes_nothing(backend: Backend) -> None:
    schedule, event = Schedule(seconds=-1), event_of(CONFIRMED)
    async with backend.consume(schedule.handlers) as queue:
        await queue.deliver(event)
        await queue.deliver(event_of(PAID, subject=event.subject))
        assert len(await queue.announced()) == 1
        assert await queue.parked() == []


@needs(Feature.SQL)
async def test_replicas_publish_each_due_message_once_and_in_order(backend: Backend) -> None:
    async def schedule_many(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        due = later(300)
        for number in range(20):
            uow.announce(OrderShipped(customer="gayal", tracking=f"{number:02}"), cause=event, deliver_at=due)
        return ()

    async with backend.consume({OrderConfirmed: schedule_many}, replicas=3) as queue:
        await queue.deliver(*(event_of(CONFIRMED) for _ in range(60)))
        assert len(await queue.scheduled()) == 1200
        await queue.advance(301)
        announced = await queue.announced()
    assert len({event.id for event in announced}) == len(announced) == 1200
    by_number = sorted(announced, key=lambda event: (event.subject, event.sourcesequence))
    for _, group in groupby(by_number, key=lambda event: event.subject):
        events = list(group)
        assert [event.sourcesequence for event in events] == list(range(1, 21))
        assert [event.data.tracking for event in events] == [f"{number:02}" for number in range(20)]
