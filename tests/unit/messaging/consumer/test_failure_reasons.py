"""Each failure has a reason from a fixed set, decided where retry or parking lot is decided."""

import asyncpg
import pytest

from tests.events import order_created
from warren_messaging import Event, FailureReason, PermanentError, Transaction, TransientError
from warren_messaging.testing import ConsumerHarness, delivery_of, event_of

DATA = order_created(("item1", 1))


def harness(error: Exception | None) -> ConsumerHarness[Transaction]:
    async def handle(event: Event[object], uow: Transaction) -> tuple[()]:
        if error is not None:
            raise error
        return ()

    return ConsumerHarness({type(DATA): handle})


@pytest.mark.parametrize(
    ("error", "first", "last"),
    [
        (PermanentError("no"), "permanent", "permanent"),
        (asyncpg.DataError("no"), "value", "value"),
        (TransientError("busy"), "transient", "exhausted"),
        (TimeoutError(), "timeout", "exhausted"),
        (asyncpg.LockNotAvailableError("lock"), "timeout", "exhausted"),
        (asyncpg.DeadlockDetectedError("again"), "database", "exhausted"),
        (KeyError("typo"), "error", "exhausted"),
    ],
)
async def test_the_reason_of_an_error(error: Exception, first: str, last: str) -> None:
    queue = harness(error)
    await queue.deliver(DATA)
    reasons = queue._telemetry.failure_reasons
    assert (reasons[0], reasons[-1]) == (first, last)
    assert [parked for *_, parked in queue._telemetry.failures] == [False] * (len(reasons) - 1) + [True]
    assert reasons[-1].is_permanent == (len(reasons) == 1)


async def test_the_reason_of_a_message_that_is_not_processed() -> None:
    queue = harness(None)
    await queue.deliver(b"no event")
    await queue.deliver(delivery_of(event_of(DATA), user_id="another"))
    assert queue._telemetry.failure_reasons == [FailureReason.MALFORMED, FailureReason.SENDER]
