"""The table of a service: for each class of event data a handler or an effect.

    async def on_order_created(event: Event[OrderCreated], stock: StockRepository) -> list[EventData]:
        ...

    HANDLERS: Handlers[StockRepository] = {OrderCreated: on_order_created}

A handler does no network I/O: it runs inside a transaction that holds locks, and runs again when that is rolled back. A
call to an external system (a gateway, a mail server) is an `Effect`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.events import AnyEvent, EventData
from warren_messaging.postgres.rate_limit import RateLimit
from warren_messaging.transaction import Transaction

T = TypeVar("T", bound=Transaction)
Intent = TypeVar("Intent")
Result = TypeVar("Result")

Handler = Callable[[Any, T], Awaitable[Iterable[EventData]]]
"""(event, transaction) -> the event data to announce. Raises TransientError or PermanentError to refuse the event."""


class Effect(msgspec.Struct, Generic[T, Intent, Result], frozen=True):
    """A call to an external system because of one event.

    1. `prepare(event, transaction)` decides what to do, stores that decision and returns the intent. None means that
       nothing is left to do; its announcements are kept.
    2. `perform(intent)` makes the call, outside of any transaction. The call may be repeated after a crash or a lost
       answer, so it must carry an idempotency key that depends only on the event.
    3. `complete(event, intent, result, transaction)` stores the result and returns the event data to announce.

    The delivery is acknowledged after step 3 is committed. Until then it stays in its queue, so an autoscaler sees the
    backlog of slow calls, and the queue's delayed retry applies to them.

    While `breaker` is open, or `rate_limit` has no slot left, the consumer takes no messages and returns those that it
    holds, uncounted.
    """

    prepare: Callable[[Any, T], Awaitable[Intent | None]]
    perform: Callable[[Intent], Awaitable[Result]]
    complete: Callable[[Any, Intent, Result, T], Awaitable[Iterable[EventData]]]
    breaker: CircuitBreaker | None = None
    rate_limit: RateLimit | None = None


AnyEffect = Effect[T, Any, Any]
Handlers = Mapping[type[EventData], Handler[T] | AnyEffect[T]]
"""The key EventData stands for every event without an entry."""


def handler_of(handlers: Handlers[T], event: AnyEvent) -> Handler[T] | AnyEffect[T] | None:
    return handlers.get(type(event.data)) or handlers.get(EventData)
