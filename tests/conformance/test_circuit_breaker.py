"""Guarantee 4 for effects with a circuit breaker: while a system is unavailable, the attempts of messages are kept."""

import asyncio
from collections.abc import Iterable

import msgspec

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.conformance.backend import CONFIRMED, Backend, RecordingTransaction, record
from warren_messaging import CircuitBreaker, Effect, PermanentError, TransientError
from warren_messaging.testing import event_of

PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")
FAILURES = 4


class FailingGateway(msgspec.Struct):
    """Fails its first `fail` calls, and keeps the most calls that it has had at once after the first FAILURES."""

    fail: int
    refuse: bool = False
    calls: list[str] = msgspec.field(default_factory=list)
    active: int = 0
    most_active: int = 0
    breaker: CircuitBreaker = msgspec.field(
        default_factory=lambda: CircuitBreaker("gateway", failures=FAILURES, open_seconds=0.2, max_open_seconds=0.4)
    )

    def effect(self) -> Effect[RecordingTransaction, str, str]:
        async def prepare(event: Event[OrderPaid], uow: RecordingTransaction) -> str:
            return str(event.logicalid)

        async def perform(key: str) -> str:
            self.calls.append(key)
            if self.refuse:
                raise PermanentError("no such card")
            if (number := len(self.calls)) > self.fail:
                return "receipt"
            if number > FAILURES:
                self.active += 1
                self.most_active = max(self.active, self.most_active)
                await asyncio.sleep(0.05)
                self.active -= 1
            raise TransientError("the gateway is unavailable")

        async def complete(
            event: Event[OrderPaid], intent: str, result: str, uow: RecordingTransaction
        ) -> Iterable[EventData]:
            uow.record(event)
            return ()

        return Effect(prepare, perform, complete, breaker=self.breaker)


async def test_4_a_system_that_is_unavailable_costs_only_the_attempts_that_open_the_breaker(backend: Backend) -> None:
    gateway = FailingGateway(fail=FAILURES + 4)
    events = [event_of(PAID) for _ in range(30)]
    async with backend.consume({OrderPaid: gateway.effect()}, attempts=2) as queue:
        await queue.deliver(*events, together=True)
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in events)
        assert [number for _, number, _ in queue.failures() if number] == [1] * FAILURES
        assert await queue.parked() == []
        assert len(gateway.calls) == gateway.fail + len(events)


async def test_4_a_breaker_that_is_half_open_lets_one_call_through(backend: Backend) -> None:
    gateway = FailingGateway(fail=FAILURES + 3)
    async with backend.consume({OrderPaid: gateway.effect()}) as queue:
        await queue.deliver(*(event_of(PAID) for _ in range(30)), together=True)
        assert gateway.most_active == 1


async def test_4_a_refusal_is_an_answer_and_does_not_open_the_breaker(backend: Backend) -> None:
    gateway = FailingGateway(fail=0, refuse=True)
    async with backend.consume({OrderPaid: gateway.effect()}) as queue:
        await queue.deliver(*(event_of(PAID) for _ in range(20)), together=True)
        assert len(await queue.parked()) == len(gateway.calls) == 20
        assert str(gateway.breaker) == "closed"


async def test_4_handlers_on_the_same_queue_lose_no_attempt_either(backend: Backend) -> None:
    gateway = FailingGateway(fail=FAILURES + 2)
    events = [event_of(PAID if number % 2 else CONFIRMED) for number in range(30)]
    async with backend.consume({OrderPaid: gateway.effect(), OrderConfirmed: record}, attempts=2) as queue:
        await queue.deliver(*events, together=True)
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in events)
        assert await queue.parked() == []
