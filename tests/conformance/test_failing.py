"""Guarantee 4: transient failures are tried again, later and later; what cannot succeed is parked and stops nobody."""

import asyncio
from collections.abc import Iterable
from itertools import count, pairwise
from typing import Any
from uuid import UUID

import pytest

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.conformance.driver import Driver, Feature, Line, Notes, needs, note
from warren_messaging import MAX_BODY, PermanentError, TransientError, encode
from warren_messaging.consumer import batch
from warren_messaging.testing import event_of

CONFIRMED = OrderConfirmed(customer="gayal")
GOOD = encode(event_of(CONFIRMED))

POISON = {
    "not JSON": (b"\x00{", "not JSON"),
    "not UTF-8": (GOOD.replace(b"gayal", b"gay\xff\xfe"), "is not UTF-8"),
    "a NUL": (GOOD.replace(b"gayal", b"gay\\u0000l"), "not plain text"),
    "half a character": (GOOD.replace(b"gayal", b"gay\\ud800"), "not JSON"),
    "nothing at all": (b"", "not JSON"),
    "not an event": (b'{"hello": "world"}', "not a CloudEvent"),
    "half an event": (GOOD[: len(GOOD) // 2], "not JSON"),
    "not CloudEvents 1.0": (encode(event_of(CONFIRMED, specversion="0.3")), "version '0.3' is not 1.0"),
    "a number that cannot be": (
        encode(event_of(CONFIRMED, sourcesequence=0)),
        "at `$.sourcesequence`",
    ),
    "a type nobody knows": (encode(event_of(CONFIRMED, type="order.teleported")), "'order.teleported' is not known"),
    "bad data": (GOOD.replace(b'"gayal"', b"7"), "data of order.confirmed: Expected `str`"),
    "too large": (b'"' + b"x" * (MAX_BODY + 1) + b'"', "over the limit"),
    "nested deeply": (b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
    "a priority that no broker takes": (
        GOOD.replace(b'"data":', b'"priority":300,"data":'),
        "not a CloudEvent: Expected `int` <= 31",
    ),
    "a trace that fits no frame": (
        GOOD.replace(b'"data":', b'"traceparent":"' + b"0" * 200_000 + b'","data":'),
        "not a CloudEvent: Expected `str` of length <= 256",
    ),
    "a type without a handler": (encode(event_of(OrderCompleted(customer="x"))), "no handler for 'order.completed'"),
}
"""Bodies, and what must be in the reason on record."""


async def test_4_each_kind_of_poison_is_parked_at_once_with_its_reason_and_stops_nobody(driver: Driver) -> None:
    good = [event_of(CONFIRMED) for _ in range(len(POISON) + 1)]
    mixed: list[AnyEvent | bytes] = [good[0]]
    for (poison, _), event in zip(POISON.values(), good[1:], strict=True):
        mixed += [poison, event]
    async with driver.consume({OrderConfirmed: note}) as line:
        await line.deliver(*mixed)
        assert sorted(await line.noted()) == sorted(event.logicalid for event in good)
        parked = {lost.body: lost for lost in await line.parked()}
        assert len(parked) == len(POISON)
        for name, (body, reason) in POISON.items():
            assert reason in parked[body].reason, name
            assert parked[body].attempts == 1, name
        assert len(line.failures()) == len(POISON)


async def test_4_a_transient_failure_is_tried_again_later_and_later_and_then_succeeds(driver: Driver) -> None:
    times: list[float] = []
    lines: list[Line] = []

    async def flaky(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        times.append(lines[0].now())
        if len(times) < 4:
            raise TransientError("the moon is in the way")
        return await note(event, work)

    event = event_of(CONFIRMED)
    async with driver.consume({OrderConfirmed: flaky}, attempts=6) as line:
        lines.append(line)
        await line.deliver(event)
        assert await line.noted() == [event.logicalid]
        assert await line.parked() == []
        assert [count for _, count, _ in line.failures()] == [1, 2, 3]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) == 3
    # At least: a busy machine adds to each of them.
    assert all(wait >= 0.09 * number for number, wait in enumerate(waits, start=1)), f"waits should grow: {waits}"


async def test_4_a_failure_that_lasts_is_parked_with_its_reason_after_the_configured_attempts(driver: Driver) -> None:
    async def never(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        if event.reference == "bad":
            raise TransientError("no such luck")
        return await note(event, work)

    good = [event_of(CONFIRMED) for _ in range(10)]
    bad = event_of(CONFIRMED, reference="bad")
    async with driver.consume({OrderConfirmed: never}, attempts=4) as line:
        await line.deliver(*good[:5], bad, *good[5:])
        assert sorted(await line.noted()) == sorted(event.logicalid for event in good)
        (lost,) = await line.parked()
        assert (lost.body, lost.reason, lost.attempts) == (encode(bad), "TransientError: no such luck", 4)
        assert [last for _, _, last in line.failures()] == [False, False, False, True]


async def test_4_a_handlers_own_mistake_is_retried_as_it_may_be_mended_meanwhile(driver: Driver) -> None:
    async def mistaken(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        raise KeyError("shelf")

    async with driver.consume({OrderConfirmed: mistaken}, attempts=2) as line:
        await line.deliver(event_of(CONFIRMED))
        (lost,) = await line.parked()
        assert (lost.reason, lost.attempts) == ("KeyError: 'shelf'", 2)


async def test_4_a_permanent_failure_is_parked_at_once(driver: Driver) -> None:
    async def refuse(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        raise PermanentError("this can never be")

    async with driver.consume({OrderConfirmed: refuse}, attempts=9) as line:
        await line.deliver(event_of(CONFIRMED))
        (lost,) = await line.parked()
        assert (lost.reason, lost.attempts) == ("this can never be", 1)


async def test_4_what_was_parked_and_comes_again_is_tried_anew(driver: Driver) -> None:
    broken = True

    async def mended(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        if broken:
            raise PermanentError("not deployed yet")
        return await note(event, work)

    event = event_of(CONFIRMED)
    async with driver.consume({OrderConfirmed: mended}) as line:
        await line.deliver(event)
        assert [lost.attempts for lost in await line.parked()] == [1]
        broken = False
        await line.deliver(event)
        assert await line.noted() == [event.logicalid]


async def test_4_copies_of_one_message_share_its_attempts_and_each_reaches_the_parking_lot(driver: Driver) -> None:
    async def never(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        raise TransientError("no such luck")

    event = event_of(CONFIRMED)
    async with driver.consume({OrderConfirmed: never}, attempts=4) as line:
        await line.deliver(event, event, event)
        assert len(await line.parked()) == 3
        # As many tries as configured, and one more for each further copy: nobody can tell it from the message itself.
        assert [last for _, _, last in line.failures()] == [False, False, False, True, True, True]


async def test_4_slow_ones_use_up_their_batchs_time_and_the_rest_is_given_back_uncounted(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "TRANSACTION_TIMEOUT", 0.1)
    monkeypatch.setattr(batch, "BATCH_TIMEOUT", 0.35)
    released: list[object] = []
    release = batch.BatchRunner._release

    def noted(self: Any, tasks: Any, settle: Any) -> None:
        released.extend(tasks)
        release(self, tasks, settle)

    monkeypatch.setattr(batch.BatchRunner, "_release", noted)

    async def slow(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        if event.reference == "slow":
            await asyncio.sleep(30)
        return await note(event, work)

    events = [event_of(CONFIRMED, reference="slow") for _ in range(8)]
    good = [event_of(CONFIRMED) for _ in range(8)]
    async with driver.consume({OrderConfirmed: slow}, attempts=2) as line:
        await line.deliver(*events, *good)
        assert sorted(await line.noted()) == sorted(event.logicalid for event in good)
        assert {(lost.reason, lost.attempts) for lost in await line.parked()} == {("took too long", 2)}
        # Nobody is blamed for what was before it: two failures for each slow one, none for any other.
        assert len(line.failures()) == 2 * len(events)
        assert released


@pytest.mark.parametrize(
    ("user", "reason"),
    [
        ("payment", "sent by user 'payment' in the name of '/warren/order'"),
        ("", "sent without a user_id in the name of '/warren/order': the broker does not confirm its sender"),
    ],
)
async def test_4_an_event_in_anothers_name_is_parked(driver: Driver, user: str, reason: str) -> None:
    event = event_of(CONFIRMED, source="/warren/order")
    async with driver.consume({OrderConfirmed: note}) as line:
        await line.deliver(event, user=user)
        assert [lost.reason for lost in await line.parked()] == [reason]
        assert await line.noted() == []


async def test_4_a_forged_copy_uses_up_no_try_of_the_event_that_it_copies(driver: Driver) -> None:
    tries = count(1)

    async def flaky(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        if next(tries) == 1:
            raise TransientError("not yet")
        return await note(event, work)

    event = event_of(CONFIRMED, source="/warren/order")
    async with driver.consume({OrderConfirmed: flaky}) as line:
        await line.deliver(event, user="payment")
        assert len(await line.parked()) == 1
        await line.deliver(event, user="order")
        assert await line.noted() == [event.logicalid]


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
async def test_4_a_value_that_the_database_refuses_is_parked_at_once(
    driver: Driver, statement: str, reason: str
) -> None:
    async def store(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        if event.reference == "bad":
            await work.connection.execute(statement)
        return await note(event, work)

    async with driver.consume({OrderConfirmed: store}, attempts=9) as line:
        events = [event_of(CONFIRMED, reference="bad" if n == 3 else "good") for n in range(6)]
        await line.deliver(*events)
        assert sorted(await line.noted()) == sorted(each.logicalid for each in events if each.reference == "good")
        (lost,) = await line.parked()
        assert reason in lost.reason
        assert lost.attempts == 1


@needs(Feature.SQL)
async def test_4_a_key_that_another_transaction_stores_at_the_same_moment_is_no_failure(driver: Driver) -> None:
    stored: list[bool] = []

    async def store(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        stored.append(not stored)
        if stored[-1]:  # seen as missing, and there by the time that it is stored
            await work.connection.execute("INSERT INTO inbox VALUES ('other', $1), ('other', $1)", event.logicalid)
        return await note(event, work)

    async with driver.consume({OrderConfirmed: store}) as line:
        event = event_of(CONFIRMED)
        await line.deliver(event)
        assert await line.noted() == [event.logicalid]
        assert line.failures() == []


@needs(Feature.SQL)
async def test_4_what_the_database_refuses_is_the_messages_own_failure(driver: Driver) -> None:
    async def divide(event: Event[OrderConfirmed], work: Notes) -> Iterable[EventData]:
        if event.reference == "bad":
            await work.connection.execute("SELECT 1 / 0")
        return await note(event, work)

    good: list[UUID] = []
    async with driver.consume({OrderConfirmed: divide}, attempts=2) as line:
        events = [event_of(CONFIRMED, reference="bad" if n == 3 else "good") for n in range(6)]
        good = [event.logicalid for event in events if event.reference == "good"]
        await line.deliver(*events)
        assert sorted(await line.noted()) == sorted(good)
        assert [lost.reason for lost in await line.parked()] == ["division by zero"]
