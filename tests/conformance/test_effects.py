"""Guarantees 3 and 4 of docs/messaging.md, for effects: normally one call for each event, always with the same key."""

import asyncio
import random
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderPaid
from tests.conformance.backend import COMPLETED, Backend, RecordingTransaction
from warren_messaging import Effect, PermanentError, TransientError
from warren_messaging.testing import event_of

PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")


class FakeGateway(msgspec.Struct):
    """A gateway that records every call and fails the first `failures_per_key` calls with each key."""

    calls: list[str] = msgspec.field(default_factory=list)
    failures_per_key: int = 0
    refuse: bool = False

    def effect(self) -> Effect[RecordingTransaction, str, str]:
        async def prepare(event: Event[OrderPaid], uow: RecordingTransaction) -> str | None:
            return None if event.reference == "idle" else str(event.logicalid)

        async def perform(key: str) -> str:
            self.calls.append(key)
            if self.refuse:
                raise PermanentError("the gateway refuses")
            if self.calls.count(key) <= self.failures_per_key:
                raise TransientError("the gateway is busy")
            return f"receipt {key}"

        async def complete(
            event: Event[OrderPaid], intent: str, result: str, uow: RecordingTransaction
        ) -> Iterable[EventData]:
            assert result == f"receipt {intent}"
            uow.record(event)
            return [COMPLETED]

        return Effect(prepare, perform, complete)


async def test_3_an_effect_is_performed_once_per_event_and_its_result_is_stored_and_announced(backend: Backend) -> None:
    gateway = FakeGateway()
    events = [event_of(PAID) for _ in range(20)]
    async with backend.consume({OrderPaid: gateway.effect()}) as queue:
        await queue.deliver(*events)
        await queue.deliver(*events)
        assert sorted(gateway.calls) == sorted(str(event.logicalid) for event in events)
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in events)
        assert len(await queue.announced()) == 20
        assert queue.repeated() == 20


async def test_3_an_event_without_an_intent_makes_no_call_and_is_done(backend: Backend) -> None:
    gateway = FakeGateway()
    idle = event_of(PAID, reference="idle")
    async with backend.consume({OrderPaid: gateway.effect()}) as queue:
        await queue.deliver(idle)
        await queue.deliver(idle)
        assert gateway.calls == []
        assert await queue.announced() == []
        assert queue.repeated() == 1


async def test_4_a_failed_call_is_retried_under_the_same_key(backend: Backend) -> None:
    gateway = FakeGateway(failures_per_key=2)
    event = event_of(PAID)
    async with backend.consume({OrderPaid: gateway.effect()}, attempts=5) as queue:
        await queue.deliver(event)
        assert gateway.calls == [str(event.logicalid)] * 3
        assert await queue.recorded() == [event.logicalid]
        assert len(await queue.announced()) == 1
        assert [reason for reason, _, _ in queue.failures()] == ["TransientError: the gateway is busy"] * 2


async def test_4_a_refused_call_parks_the_event_and_stores_no_result(backend: Backend) -> None:
    gateway = FakeGateway(refuse=True)
    async with backend.consume({OrderPaid: gateway.effect()}, attempts=5) as queue:
        await queue.deliver(event_of(PAID))
        assert [parked.reason for parked in await queue.parked()] == ["the gateway refuses"]
        assert len(gateway.calls) == 1
        assert await queue.recorded() == []
        assert await queue.announced() == []


async def test_4_a_result_that_cannot_be_stored_is_requested_again(backend: Backend) -> None:
    gateway = FakeGateway()
    tries = []
    effect = gateway.effect()

    async def complete(
        event: Event[OrderPaid], intent: str, result: str, uow: RecordingTransaction
    ) -> Iterable[EventData]:
        tries.append(intent)
        if len(tries) == 1:
            raise TransientError("the row is locked")
        return await effect.complete(event, intent, result, uow)

    event = event_of(PAID)
    async with backend.consume({OrderPaid: msgspec.structs.replace(effect, complete=complete)}) as queue:
        await queue.deliver(event)
        assert gateway.calls == [str(event.logicalid)] * 2
        assert await queue.recorded() == [event.logicalid]


@pytest.mark.parametrize("step", ["prepare", "perform", "complete"])
async def test_4_a_cancellation_of_another_task_is_a_failure_of_the_event_alone(backend: Backend, step: str) -> None:
    gateway = FakeGateway()
    effect = gateway.effect()
    original = getattr(effect, step)
    cancelled = event_of(PAID)
    tries = []

    async def cancel_first(*arguments: Any) -> Any:
        of = arguments[0] if step == "perform" else str(arguments[0].logicalid)
        if of == str(cancelled.logicalid) and not tries:
            tries.append(of)
            raise asyncio.CancelledError
        return await original(*arguments)

    others = [event_of(PAID) for _ in range(5)]
    async with backend.consume({OrderPaid: msgspec.structs.replace(effect, **{step: cancel_first})}) as queue:
        await queue.deliver(*others[:2], cancelled, *others[2:])
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in [cancelled, *others])
        assert [reason for reason, _, _ in queue.failures()] in (
            [],
            ["TransientError: a task that it awaited was cancelled"],
        )  # a failed batch is tried again event by event: that try may succeed


async def test_4_failing_calls_beside_succeeding_calls_all_succeed_in_the_end(backend: Backend) -> None:
    gateway = FakeGateway()
    effect = gateway.effect()

    async def fail_half(key: str) -> str:
        await asyncio.sleep(random.uniform(0, 0.03))
        gateway.failures_per_key = int(key[-1] in "02468ace")
        return await effect.perform(key)

    events = [event_of(PAID) for _ in range(200)]
    async with backend.consume({OrderPaid: msgspec.structs.replace(effect, perform=fail_half)}, attempts=3) as queue:
        await queue.deliver(*events)
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in events)
        assert await queue.parked() == []
