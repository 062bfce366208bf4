"""Guarantees 3 and 4 for effects: one call for each event as a rule, always under the same key."""

import asyncio
import random
from collections.abc import Iterable

import msgspec

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderPaid
from tests.conformance.driver import Driver, Notes
from warren_messaging import Effect, PermanentError, TransientError
from warren_messaging.testing import event_of

PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")
COMPLETED = OrderCompleted(customer="gayal")


class Outside(msgspec.Struct):
    """A stand-in for the outside world, which remembers every call and fails the first `fail` under each key."""

    calls: list[str] = []
    fail: int = 0
    refuse: bool = False

    def effect(self) -> Effect[Notes, str, str]:
        async def prepare(event: Event[OrderPaid], work: Notes) -> str | None:
            return None if event.reference == "idle" else str(event.logicalid)

        async def perform(key: str) -> str:
            self.calls.append(key)
            if self.refuse:
                raise PermanentError("the gateway says no")
            if self.calls.count(key) <= self.fail:
                raise TransientError("the gateway is busy")
            return f"receipt {key}"

        async def complete(event: Event[OrderPaid], intent: str, result: str, work: Notes) -> Iterable[EventData]:
            assert result == f"receipt {intent}"
            work.note(event)
            return [COMPLETED]

        return Effect(prepare, perform, complete)


async def test_3_an_effect_is_made_once_for_each_event_and_its_result_kept_and_announced(driver: Driver) -> None:
    outside = Outside(calls=[])
    events = [event_of(PAID) for _ in range(20)]
    async with driver.consume({OrderPaid: outside.effect()}) as line:
        await line.deliver(*events)
        await line.deliver(*events)
        assert sorted(outside.calls) == sorted(str(event.logicalid) for event in events)
        assert sorted(await line.noted()) == sorted(event.logicalid for event in events)
        assert len(await line.announced()) == 20
        assert line.repeated() == 20


async def test_3_an_event_without_an_intent_makes_no_call_and_is_done(driver: Driver) -> None:
    outside = Outside(calls=[])
    idle = event_of(PAID, reference="idle")
    async with driver.consume({OrderPaid: outside.effect()}) as line:
        await line.deliver(idle)
        await line.deliver(idle)
        assert outside.calls == []
        assert await line.announced() == []
        assert line.repeated() == 1


async def test_4_a_call_that_fails_is_made_again_under_the_same_key(driver: Driver) -> None:
    outside = Outside(calls=[], fail=2)
    event = event_of(PAID)
    async with driver.consume({OrderPaid: outside.effect()}, attempts=5) as line:
        await line.deliver(event)
        assert outside.calls == [str(event.logicalid)] * 3
        assert await line.noted() == [event.logicalid]
        assert len(await line.announced()) == 1
        assert [reason for reason, _, _ in line.failures()] == ["TransientError: the gateway is busy"] * 2


async def test_4_a_call_that_is_refused_parks_the_event_and_keeps_no_result(driver: Driver) -> None:
    outside = Outside(calls=[], refuse=True)
    async with driver.consume({OrderPaid: outside.effect()}, attempts=5) as line:
        await line.deliver(event_of(PAID))
        assert [lost.reason for lost in await line.parked()] == ["the gateway says no"]
        assert len(outside.calls) == 1
        assert await line.noted() == []
        assert await line.announced() == []


async def test_4_a_result_that_cannot_be_stored_is_asked_for_again(driver: Driver) -> None:
    outside = Outside(calls=[])
    tries = []
    effect = outside.effect()

    async def complete(event: Event[OrderPaid], intent: str, result: str, work: Notes) -> Iterable[EventData]:
        tries.append(intent)
        if len(tries) == 1:
            raise TransientError("the shelf is locked")
        return await effect.complete(event, intent, result, work)

    event = event_of(PAID)
    async with driver.consume({OrderPaid: msgspec.structs.replace(effect, complete=complete)}) as line:
        await line.deliver(event)
        assert outside.calls == [str(event.logicalid)] * 2
        assert await line.noted() == [event.logicalid]


async def test_4_calls_that_fail_beside_calls_that_succeed_are_all_made_in_the_end(driver: Driver) -> None:
    outside = Outside(calls=[])
    effect = outside.effect()

    async def half(key: str) -> str:
        await asyncio.sleep(random.uniform(0, 0.03))
        outside.fail = int(key[-1] in "02468ace")
        return await effect.perform(key)

    events = [event_of(PAID) for _ in range(200)]
    async with driver.consume({OrderPaid: msgspec.structs.replace(effect, perform=half)}, attempts=3) as line:
        await line.deliver(*events)
        assert sorted(await line.noted()) == sorted(event.logicalid for event in events)
        assert await line.parked() == []
