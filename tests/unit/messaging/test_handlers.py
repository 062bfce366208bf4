"""The table of handlers, what a transaction announces, and what becomes of an error."""

from collections.abc import Iterable
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


async def one(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
    return ()


async def other(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
    return ()


def announcing() -> Transaction:
    return Transaction(None)  # type: ignore[arg-type]


def test_an_event_goes_to_its_own_handler_or_to_the_one_for_everything() -> None:
    table: Handlers[Transaction] = {OrderConfirmed: one, EventData: other}
    assert handler_of(table, event_of(CONFIRMED)) is one
    assert handler_of(table, event_of(COMPLETED)) is other
    assert handler_of({OrderConfirmed: one}, event_of(COMPLETED)) is None


def test_what_is_announced_inherits_from_its_cause_what_is_not_given() -> None:
    cause = event_of(CONFIRMED, reference="123", priority=8, traceparent="00-a-b-01")
    inherited = announcing().announce(COMPLETED, cause=cause).announcements[0]
    assert (inherited.subject, inherited.reference) == (cause.subject, "123")
    assert (inherited.priority, inherited.traceparent, inherited.cause) == (8, "00-a-b-01", cause)
    subject = uuid4()
    given = announcing().announce(COMPLETED, cause=cause, subject=subject, reference="9", priority=0).announcements[0]
    assert (given.subject, given.reference, given.priority) == (subject, "9", 0)


def test_an_announcement_about_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match=r"order\.completed has no subject: give a cause or a subject"):
        announcing().announce(COMPLETED)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"priority": -1}, "has the priority -1: 0 to 31 are possible"),
        ({"priority": 32}, "has the priority 32"),
        ({"expires_ms": -1}, "expires after -1 ms"),
        ({"traceparent": "0" * 257}, "has a trace of 257 characters"),
    ],
)
def test_what_no_broker_takes_cannot_be_announced(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"order.completed {reason}"):
        announcing().announce(COMPLETED, subject=uuid4(), **given)


@pytest.mark.parametrize(("customer", "reason"), [("x" * MAX_BODY, "over the limit"), ("a\0", "a control character")])
async def test_an_event_that_its_readers_would_refuse_is_refused_before_it_is_stored(
    customer: str, reason: str
) -> None:
    async def boast(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
        return [OrderCompleted(customer=customer)]

    rehearsal = ConsumerHarness({OrderConfirmed: boast})
    await rehearsal.deliver(CONFIRMED)
    assert rehearsal.events == []
    assert rehearsal.parked[0].reason.startswith("order.completed cannot be announced")
    assert reason in rehearsal.parked[0].reason


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
async def test_an_error_decides_between_another_try_and_the_parking_lot(
    error: Exception, verdict: Verdict, reason: str
) -> None:
    async def fail(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
        raise error

    rehearsal = ConsumerHarness({OrderConfirmed: fail}, retry=RetryPolicy(attempts=2))
    first = (await rehearsal.deliver(CONFIRMED))[0]
    assert (first.verdict, first.reason) == (verdict, reason)


async def test_failures_are_counted_by_event_and_forgiven_once_it_succeeds() -> None:
    left = [2]

    async def flaky(event: AnyEvent, work: Transaction) -> Iterable[EventData]:
        left[0] -= 1
        if left[0] >= 0:
            raise TransientError("not yet")
        return ()

    database, event = InMemoryDatabase(), event_of(CONFIRMED)
    await ConsumerHarness({OrderConfirmed: flaky}, database=database).deliver(event)
    failure = database.tables.failures["harness", str(event.logicalid)]
    assert (failure.attempts, failure.state) == (2, "succeeded")


async def test_only_what_has_no_handler_is_parked_for_that() -> None:
    table: Handlers[Transaction] = {OrderConfirmed: one}
    rehearsal = ConsumerHarness(table, service="probe", catalogue=CATALOGUE)
    await rehearsal.deliver(*(event_of(CATALOGUE["order.completed"](customer="x")) for _ in range(2)), CONFIRMED)
    assert [lost.reason for lost in rehearsal.parked] == ["probe has no handler for 'order.completed'"] * 2


async def test_a_call_that_fails_is_counted_like_a_handler_that_fails() -> None:
    async def prepare(event: AnyEvent, work: Transaction) -> str:
        return "intent"

    async def perform(intent: str) -> None:
        raise TimeoutError

    async def complete(event: AnyEvent, intent: str, result: None, work: Transaction) -> Iterable[EventData]:
        raise AssertionError("there is no result")

    rehearsal = ConsumerHarness({OrderPaid: Effect(prepare, perform, complete)}, retry=RetryPolicy(attempts=3))
    await rehearsal.deliver(OrderPaid(customer="gayal", total_cents=1, currency="EUR"))
    assert rehearsal.performed == ["intent"] * 3
    assert [(lost.reason, lost.attempts) for lost in rehearsal.parked] == [("took too long", 3)]
