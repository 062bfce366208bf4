"""What the author of a service writes: a table from event data to a handler or an effect.

    async def on_order_created(event: Event[OrderCreated], stock: Stockroom) -> list[EventData]:
        ...

    HANDLERS: Handlers[Stockroom] = {OrderCreated: on_order_created}

A handler does no network input or output: it runs inside a transaction that others wait for, and may run again
when that is rolled back. What has to call somebody (a gateway, a mail server) is an `Effect`.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from warren_messaging.events import AnyEvent, EventData
from warren_messaging.transaction import Transaction

T = TypeVar("T", bound=Transaction)
Intent = TypeVar("Intent")
Result = TypeVar("Result")

Handler = Callable[[Any, T], Awaitable[Iterable[EventData]]]
"""(event, transaction) -> what to announce because of it. Raises TransientError or PermanentError to refuse."""


class Effect(msgspec.Struct, Generic[T, Intent, Result], frozen=True):
    """A call to the outside world on behalf of one event.

    1. `prepare(event, transaction)` decides what is to be done and stores that it is about to be; None means
       that nothing is to be done any more, and what it announced stands.
    2. `perform(intent)` makes the call, outside of any transaction. It may be made again after a crash or a lost
       answer, so it must carry an idempotency key that depends only on the event.
    3. `complete(event, intent, result, transaction)` stores the result and returns what to announce.

    The delivery is acknowledged after step 3 is committed. Until then it stays in its queue, so the backlog of
    slow calls is visible where scaling looks for it, and the queue's own delayed retry serves the calls too.
    """

    prepare: Callable[[Any, T], Awaitable[Intent | None]]
    perform: Callable[[Intent], Awaitable[Result]]
    complete: Callable[[Any, Intent, Result, T], Awaitable[Iterable[EventData]]]


AnyEffect = Effect[T, Any, Any]
Handlers = Mapping[type[EventData], Handler[T] | AnyEffect[T]]
"""The key EventData itself stands for every event that has no entry of its own."""


def handler_of(handlers: Handlers[T], event: AnyEvent) -> Handler[T] | AnyEffect[T] | None:
    return handlers.get(type(event.data)) or handlers.get(EventData)
