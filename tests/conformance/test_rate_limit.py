"""A rate limit of an effect holds across replicas, and loses no message."""

import time
from collections.abc import Iterable

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderPaid
from tests.conformance.backend import Backend, Feature, RecordingTransaction, needs
from warren_messaging import Effect, RateLimit
from warren_messaging.testing import event_of

PAID = OrderPaid(customer="gayal", total_cents=1, currency="EUR")


@needs(Feature.BROKER)
async def test_3_two_replicas_share_a_rate_limit_and_each_event_has_one_effect(backend: Backend) -> None:
    calls: list[float] = []

    async def prepare(event: Event[OrderPaid], uow: RecordingTransaction) -> str:
        return str(event.logicalid)

    async def perform(key: str) -> None:
        calls.append(time.monotonic())

    async def complete(
        event: Event[OrderPaid], intent: str, result: None, uow: RecordingTransaction
    ) -> Iterable[EventData]:
        uow.record(event)
        return ()

    limit = RateLimit("gateway", per_second=20, burst=5)
    events = [event_of(PAID) for _ in range(65)]
    handlers = {OrderPaid: Effect(prepare, perform, complete, rate_limit=limit)}
    async with backend.consume(handlers, replicas=2) as queue:
        await queue.deliver(*events, together=True)
        assert sorted(await queue.recorded()) == sorted(event.logicalid for event in events)
        assert len(calls) == len(events)
        assert queue.failures() == []
    # 60 calls after the burst. A limit for each process would let them pass in half of the three seconds.
    assert calls[-1] - calls[0] >= 2.5
