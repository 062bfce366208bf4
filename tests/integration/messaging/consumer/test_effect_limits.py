"""A consumer whose effects may not be performed now: an open circuit breaker, a rate limit without free slots."""

from collections.abc import Iterable

import msgspec
import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderPaid
from tests.messaging_env import MessagingEnv, eventually, record
from warren_messaging import BreakerState, CircuitBreaker, Effect, RateLimit, Transaction, TransientError, encode
from warren_messaging.postgres import rate_limit
from warren_messaging.testing import event_of

FAILURES = 3


class Gateway(msgspec.Struct):
    unavailable: bool = False
    calls: list[str] = msgspec.field(default_factory=list)

    def effect(self, breaker: CircuitBreaker | None = None, limit: RateLimit | None = None) -> object:
        async def prepare(event: Event[OrderPaid], uow: Transaction) -> str:
            return str(event.logicalid)

        async def perform(key: str) -> None:
            self.calls.append(key)
            if self.unavailable:
                raise TransientError("the gateway is unavailable")

        async def complete(event: Event[OrderPaid], key: str, result: None, uow: Transaction) -> Iterable[EventData]:
            return await record(event, uow)

        return Effect(prepare, perform, complete, breaker, limit)


def bodies(count: int) -> list[bytes]:
    return [encode(event_of(OrderPaid(customer="gayal", total_cents=1, currency="EUR"))) for _ in range(count)]


async def test_while_the_breaker_is_open_messages_wait_in_the_queue_uncounted_and_the_process_is_ready(
    env: MessagingEnv,
) -> None:
    gateway = Gateway(unavailable=True)
    breaker = CircuitBreaker("gateway", failures=FAILURES, open_seconds=60)
    await env.send(*bodies(20))
    async with env.consumer({OrderPaid: gateway.effect(breaker)}) as consumer:
        await eventually(lambda: breaker.state is BreakerState.OPEN and not consumer.consuming)
        await consumer.require_consuming()
        assert await env.depth("probe.queue") >= 20 - FAILURES
        waiting = await env.drain("probe.queue")
    counted = [message for message in waiting if "x-delivery-count" in (message.header.properties.headers or {})]
    assert len(waiting) - len(counted) == 20 - FAILURES
    assert len(gateway.calls) == len(env.telemetry.failures) == FAILURES
    assert env.telemetry.breaker_states == [("gateway", BreakerState.OPEN)]
    paused = [
        text for text in env.telemetry.statuses if "paused: circuit breaker 'gateway': open, next call in" in text
    ]
    assert len(paused) == 1


async def test_a_stopping_consumer_returns_messages_that_wait_for_their_slots_uncounted(env: MessagingEnv) -> None:
    gateway = Gateway()
    await env.send(*bodies(12))
    async with env.consumer({OrderPaid: gateway.effect(limit=RateLimit("gateway", per_second=0.1, burst=2))}):
        await env.wait_for_recorded(2)
    assert len(gateway.calls) == 2
    returned = await env.drain("probe.queue")
    assert len(returned) == 10
    assert not [message for message in returned if "x-delivery-count" in (message.header.properties.headers or {})]


async def test_messages_without_a_slot_are_returned_until_slots_are_free(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "MAX_WAIT", 0.5)
    gateway = Gateway()
    await env.send(*bodies(30))
    async with env.consumer({OrderPaid: gateway.effect(limit=RateLimit("gateway", per_second=10))}):
        await env.wait_for_recorded(30)
    assert len(gateway.calls) == 30
    assert env.telemetry.failures == []
    paused = [text for text in env.telemetry.statuses if "paused: rate limit 'gateway': all slots" in text]
    assert 1 <= len(paused) <= 15, "the consumer must not ask again and again"
