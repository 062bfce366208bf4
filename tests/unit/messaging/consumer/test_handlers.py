"""The table of handlers, announcements of a transaction, and verdicts on errors."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import pytest

from services.shared.contracts import CATALOGUE, AnyEvent, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed, OrderPaid
from warren_messaging import (
    MAX_BODY,
    Effect,
    Handlers,
    MalformedEvent,
    PermanentError,
    RetryPolicy,
    Transaction,
    TransientError,
    Verdict,
)
from warren_messaging.handlers import handler_of
from warren_messaging.testing import ConsumerHarness, InMemoryDatabase, event_of

CONFIRMED = OrderConfirmed(customer="gayal")
COMPLETED = OrderCompleted(customer="gayal")


async def one(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
    return ()


async def other(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
    return ()


def announcing() -> Transaction:
    return Transaction(None)  # type: ignore[arg-type]


def test_an_event_goes_to_its_own_handler_or_to_the_one_for_all_events() -> None:
    table: Handlers[Transaction] = {OrderConfirmed: one, EventData: other}
    assert handler_of(table, event_of(CONFIRMED)) is one
    assert handler_of(table, event_of(COMPLETED)) is other
    assert handler_of({OrderConfirmed: one}, event_of(COMPLETED)) is None


def test_an_announcement_inherits_missing_attributes_from_its_cause() -> None:
    cause = event_of(CONFIRMED, reference="123", priority=8, traceparent="00-a-b-01")
    uow, subject = announcing(), uuid4()
    uow.announce(COMPLETED, cause=cause)
    uow.announce(COMPLETED, cause=cause, subject=subject, reference="9", priority=0)
    inherited, given = uow.announcements
    assert (inherited.subject, inherited.reference) == (cause.subject, "123")
    assert (inherited.priority, inherited.traceparent, inherited.causation_id) == (8, "00-a-b-01", cause.id)
    assert (given.subject, given.reference, given.priority) == (subject, "9", 0)


def test_an_announcement_needs_a_cause_or_a_subject() -> None:
    with pytest.raises(ValueError, match=r"order\.completed has no subject: give a cause or a subject"):
        announcing().announce(COMPLETED)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"priority": -1}, "has the priority -1: 0 to 31 are possible"),
        ({"priority": 32}, "has the priority 32"),
        ({"expires_ms": -1}, "expires after -1 ms"),
        ({"reference": "0" * 256}, "has a reference of 256 characters: 255 are possible"),
        ({"traceparent": "0" * 257}, "has a trace of 257 characters"),
    ],
)
def test_attributes_that_the_broker_or_readers_refuse_cannot_be_announced(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"order.completed {reason}"):
        announcing().announce(COMPLETED, subject=uuid4(), **given)


@pytest.mark.parametrize(
    ("deliver_at", "reason"),
    [
        (
            datetime.fromisoformat("2026-11-28T12:00:00"),
            r"at 2026-11-28T12:00:00, which has no time zone: give an aware time",
        ),
        (datetime.max.replace(tzinfo=UTC), r"at 9999-12-31T.*: at most 3653 days from now are possible"),
        (datetime.min.replace(tzinfo=UTC), r"at 0001-01-01T.*: at most 3653 days from now are possible"),
        (datetime(1970, 1, 21, tzinfo=timezone(timedelta(hours=14))), "at .*: at most 3653 days"),
    ],
)
def test_a_time_that_is_naive_or_far_away_cannot_be_scheduled(deliver_at: datetime, reason: str) -> None:
    with pytest.raises(ValueError, match=f"order.completed is to be delivered {reason}"):
        announcing().announce(COMPLETED, subject=uuid4(), deliver_at=deliver_at)


def test_an_announcement_returns_the_id_of_its_event() -> None:
    uow, subject = announcing(), uuid4()
    now = uow.announce(COMPLETED, subject=subject)
    later = uow.announce(COMPLETED, subject=subject, deliver_at=datetime.now(UTC) + timedelta(days=1))
    assert [each.id for each in uow.announcements] == [now]
    assert [each.id for _, each in uow.scheduled] == [later]


@pytest.mark.parametrize("scheduled", [False, True])
@pytest.mark.parametrize(("customer", "reason"), [("x" * MAX_BODY, "over the limit"), ("a\0", "a control character")])
async def test_an_event_that_consumers_would_refuse_is_not_stored(customer: str, reason: str, scheduled: bool) -> None:
    due = datetime.now(UTC) + timedelta(days=1)

    async def boast(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        uow.announce(OrderCompleted(customer=customer), cause=event, deliver_at=due if scheduled else None)
        return ()

    harness = ConsumerHarness({OrderConfirmed: boast})
    await harness.deliver(CONFIRMED)
    assert harness.events == [] == await harness.scheduled()
    assert harness.parked[0].reason.startswith("order.completed cannot be announced")
    assert reason in harness.parked[0].reason


@pytest.mark.parametrize(
    ("error", "verdict", "reason"),
    [
        (TransientError("later"), Verdict.RETRY, "TransientError: later"),
        (PermanentError("never"), Verdict.DEAD_LETTER, "never"),
        (MalformedEvent("odd"), Verdict.DEAD_LETTER, "odd"),
        (TimeoutError(), Verdict.RETRY, "took too long"),
        (ValueError("a bug"), Verdict.RETRY, "ValueError: a bug"),
        (
            ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
            Verdict.RETRY,
            "ExceptionGroup: two (2 sub-exceptions)",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_the_type_of_an_error_decides_between_retry_and_parking(
    error: Exception, verdict: Verdict, reason: str
) -> None:
    async def fail(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        raise error

    harness = ConsumerHarness({OrderConfirmed: fail}, retry=RetryPolicy(attempts=2))
    first = (await harness.deliver(CONFIRMED))[0]
    assert (first.verdict, first.reason) == (verdict, reason)


async def test_failures_are_counted_per_event_until_it_succeeds() -> None:
    left = [2]

    async def flaky(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
        left[0] -= 1
        if left[0] >= 0:
            raise TransientError("not yet")
        return ()

    database, event = InMemoryDatabase(), event_of(CONFIRMED)
    await ConsumerHarness({OrderConfirmed: flaky}, database=database).deliver(event)
    failure = database.tables.failures["harness", str(event.logicalid)]
    assert (failure.attempts, failure.state) == (2, "succeeded")


async def test_only_an_event_without_a_handler_is_parked_for_that_reason() -> None:
    table: Handlers[Transaction] = {OrderConfirmed: one}
    harness = ConsumerHarness(table, service="probe", catalogue=CATALOGUE)
    await harness.deliver(*(event_of(CATALOGUE["order.completed"](customer="x")) for _ in range(2)), CONFIRMED)
    assert [lost.reason for lost in harness.parked] == ["probe has no handler for 'order.completed'"] * 2


async def test_a_failed_call_of_an_effect_counts_as_a_failed_handler() -> None:
    async def prepare(event: AnyEvent, uow: Transaction) -> str:
        return "intent"

    async def perform(intent: str) -> None:
        raise TimeoutError

    async def complete_effect(event: AnyEvent, intent: str, result: None, uow: Transaction) -> Iterable[EventData]:
        raise AssertionError("there is no result")

    harness = ConsumerHarness({OrderPaid: Effect(prepare, perform, complete_effect)}, retry=RetryPolicy(attempts=3))
    await harness.deliver(OrderPaid(customer="gayal", total_cents=1, currency="EUR"))
    assert harness.performed == ["intent"] * 3
    assert [(lost.reason, lost.attempts) for lost in harness.parked] == [("took too long", 3)]
