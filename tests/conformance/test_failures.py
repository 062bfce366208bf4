"""Guarantee 4: transient failures are retried with growing delays; messages that cannot succeed are parked at once."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.conformance.backend import (
    CONFIRMED,
    Backend,
    ConsumedQueue,
    Feature,
    RecordingTransaction,
    fail_first,
    fail_if_bad,
    needs,
    record,
)
from warren_messaging import MAX_BODY, PermanentError, TransientError, encode
from warren_messaging.consumer import batch
from warren_messaging.testing import event_of

GOOD = encode(event_of(CONFIRMED))

POISON = {
    "not JSON": (b"\x00{", "not JSON"),
    "not UTF-8": (GOOD.replace(b"gayal", b"gay\xff\xfe"), "is not UTF-8"),
    "a NUL": (GOOD.replace(b"gayal", b"gay\\u0000l"), "not plain text"),
    "half a surrogate pair": (GOOD.replace(b"gayal", b"gay\\ud800"), "not JSON"),
    "empty": (b"", "not JSON"),
    "not an event": (b'{"hello": "world"}', "not a CloudEvent"),
    "half an event": (GOOD[: len(GOOD) // 2], "not JSON"),
    "not CloudEvents 1.0": (encode(event_of(CONFIRMED, specversion="0.3")), "version '0.3' is not 1.0"),
    "an impossible sequence number": (
        encode(event_of(CONFIRMED, sourcesequence=0)),
        "at `$.sourcesequence`",
    ),
    "an unknown type": (encode(event_of(CONFIRMED, type="order.teleported")), "'order.teleported' is not known"),
    "bad data": (GOOD.replace(b'"gayal"', b"7"), "data of order.confirmed: Expected `str`"),
    "too large": (b'"' + b"x" * (MAX_BODY + 1) + b'"', "over the limit"),
    "nested deeply": (b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    "an impossible priority": (
        GOOD.replace(b'"data":', b'"priority":300,"data":'),
        "not a CloudEvent: Expected `int` <= 31",
    ),
    "a trace larger than a frame": (
        GOOD.replace(b'"data":', b'"traceparent":"' + b"0" * 200_000 + b'","data":'),
        "not a CloudEvent: Expected `str` of length <= 256",
    ),
    "a type without a handler": (encode(event_of(OrderCompleted(customer="x"))), "no handler for 'order.completed'"),
}
"""Bodies that cannot be processed, and a part of the reason that is recorded for each."""


async def test_4_each_kind_of_poison_is_parked_at_once_with_its_reason_and_delays_no_event(backend: Backend) -> None:
    good = [event_of(CONFIRMED) for _ in range(len(POISON) + 1)]
    mixed: list[AnyEvent | bytes] = [good[0]]
    for (poison, _), event in zip(POISON.values(), good[1:], strict=True):
        mixed += [poison, event]
    async with backend.consume({OrderConfirmed: record}) as queue:
        await queue.deliver(*mixed)
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in good)
        parked = {message.body: message for message in await queue.parked()}
        assert len(parked) == len(POISON)
        for name, (body, reason) in POISON.items():
            assert reason in parked[body].reason, name
            assert parked[body].attempts == 1, name
        assert len(queue.failures()) == len(POISON)


async def test_4_a_transient_failure_is_retried_with_growing_delays_until_it_succeeds(backend: Backend) -> None:
    times: list[float] = []
    queues: list[ConsumedQueue] = []

    async def flaky(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        times.append(queues[0].now())
        if len(times) < 4:
            raise TransientError("not yet")
        return await record(event, uow)

    event = event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: flaky}, attempts=6) as queue:
        queues.append(queue)
        await queue.deliver(event)
        assert await queue.recorded() == [event.logicalid]
        assert await queue.parked() == []
        assert [count for _, count, _ in queue.failures()] == [1, 2, 3]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) == 3
    # A lower bound: a busy machine adds to each wait.
    assert all(wait >= 0.09 * number for number, wait in enumerate(waits, start=1)), f"waits should grow: {waits}"


@pytest.mark.parametrize(
    ("error", "attempts", "reason", "failures"),
    [
        pytest.param(TransientError("not yet"), 4, "TransientError: not yet", 4, id="transient"),
        pytest.param(KeyError("shelf"), 2, "KeyError: 'shelf'", 2, id="a bug, as a new version may fix it"),
        pytest.param(
            asyncio.CancelledError(),
            2,
            "TransientError: a task that it awaited was cancelled",
            2,
            id="the cancellation of another task",
        ),
        pytest.param(PermanentError("impossible"), 9, "impossible", 1, id="permanent"),
    ],
)
async def test_4_a_lasting_failure_is_parked_after_the_configured_attempts_and_a_permanent_one_at_once(
    backend: Backend, error: BaseException, attempts: int, reason: str, failures: int
) -> None:
    good = [event_of(CONFIRMED) for _ in range(10)]
    bad = event_of(CONFIRMED, reference="bad")
    async with backend.consume({OrderConfirmed: fail_if_bad(error)}, attempts=attempts) as queue:
        await queue.deliver(*good[:5], bad, *good[5:])
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in good)
        (message,) = await queue.parked()
        assert (message.body, message.reason, message.attempts) == (encode(bad), reason, failures)
        assert [last for _, _, last in queue.failures()] == [False] * (failures - 1) + [True]


async def test_4_an_event_that_was_parked_and_comes_again_is_processed(backend: Backend) -> None:
    event = event_of(CONFIRMED)
    async with backend.consume({OrderConfirmed: fail_first(1, PermanentError("not deployed yet"))}) as queue:
        await queue.deliver(event)
        assert [message.attempts for message in await queue.parked()] == [1]
        await queue.deliver(event)
        assert await queue.recorded() == [event.logicalid]


async def test_4_copies_of_one_message_share_its_attempts_and_each_is_parked(backend: Backend) -> None:
    event = event_of(CONFIRMED, reference="bad")
    async with backend.consume({OrderConfirmed: fail_if_bad(TransientError("not yet"))}, attempts=4) as queue:
        await queue.deliver(event, event, event)
        assert len(await queue.parked()) == 3
        # The configured attempts, and one more for each further copy, which cannot be distinguished from the first.
        assert [last for _, _, last in queue.failures()] == [False, False, False, True, True, True]


async def test_4_when_slow_messages_use_up_the_time_of_a_batch_the_rest_is_returned_uncounted(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT", 0.6)
    monkeypatch.setattr(batch, "BATCH_TIMEOUT", 2.1)
    released: list[object] = []
    release = batch.BatchRunner._release

    def spy(self: Any, deliveries: Any, on_verdict: Any) -> None:
        released.extend(deliveries)
        release(self, deliveries, on_verdict)

    monkeypatch.setattr(batch.BatchRunner, "_release", spy)

    async def slow(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        if event.reference == "slow":
            await asyncio.sleep(30)
        return await record(event, uow)

    events = [event_of(CONFIRMED, reference="slow") for _ in range(4)]
    good = [event_of(CONFIRMED) for _ in range(8)]
    async with backend.consume({OrderConfirmed: slow}, attempts=2) as queue:
        await queue.deliver(*events, *good)
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in good)
        assert {(message.reason, message.attempts) for message in await queue.parked()} == {("took too long", 2)}
        # Two failures for each slow message, none for a message that waited behind it.
        assert len(queue.failures()) == 2 * len(events)
        assert released


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("payment", "sent by user 'payment' in the name of '/warren/order'"),
        ("", "sent without a user_id in the name of '/warren/order': the broker does not confirm its sender"),
    ],
)
async def test_4_a_forged_event_is_parked(backend: Backend, user: str, reason: str) -> None:
    event = event_of(CONFIRMED, source="/warren/order")
    async with backend.consume({OrderConfirmed: record}) as queue:
        await queue.deliver(event, user=user)
        assert [message.reason for message in await queue.parked()] == [reason]
        assert await queue.recorded() == []


async def test_4_a_forged_copy_uses_no_attempt_of_the_genuine_event(backend: Backend) -> None:
    event = event_of(CONFIRMED, source="/warren/order")
    async with backend.consume({OrderConfirmed: fail_first(1, TransientError("not yet"))}) as queue:
        await queue.deliver(event, user="payment")
        assert len(await queue.parked()) == 1
        await queue.deliver(event, user="order")
        assert await queue.recorded() == [event.logicalid]


@needs(Feature.SQL)
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT 1 / 0", "division by zero"),
        ("SELECT 9223372036854775807 + 1", "bigint out of range"),
        ("SELECT ''::uuid", "invalid input syntax for type uuid"),
        ("INSERT INTO outbox (exchange) VALUES (NULL)", "violates not-null constraint"),
        (
            "INSERT INTO failures SELECT 'c', string_agg(md5(i::text), ''), NULL, NULL, 1, 'r', 'parked'"
            " FROM generate_series(1, 500) AS i",
            "index row requires",
        ),
    ],
)
async def test_4_an_event_with_a_value_that_the_database_refuses_is_parked_at_once(
    backend: Backend, statement: str, reason: str
) -> None:
    async def store(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        if event.reference == "bad":
            await uow.connection.execute(statement)
        return await record(event, uow)

    async with backend.consume({OrderConfirmed: store}, attempts=9) as queue:
        events = [event_of(CONFIRMED, reference="bad" if n == 3 else "good") for n in range(6)]
        await queue.deliver(*events)
        assert sorted(await queue.recorded()) == sorted(each.logicalid for each in events if each.reference == "good")
        (message,) = await queue.parked()
        assert reason in message.reason
        assert message.attempts == 1


@needs(Feature.SQL)
async def test_4_a_key_that_another_transaction_stores_at_the_same_moment_is_no_failure(backend: Backend) -> None:
    stored: list[bool] = []

    async def store(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
        stored.append(not stored)
        if stored[-1]:  # the first time the key is stored between the query and the insert
            await uow.connection.execute("INSERT INTO inbox VALUES ('other', $1), ('other', $1)", event.logicalid)
        return await record(event, uow)

    async with backend.consume({OrderConfirmed: store}) as queue:
        event = event_of(CONFIRMED)
        await queue.deliver(event)
        assert await queue.recorded() == [event.logicalid]
        assert queue.failures() == []
