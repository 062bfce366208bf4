"""Records the calls of effects, and replaces them by stubs."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.events import EventData
from warren_messaging.handlers import Effect, Handlers
from warren_messaging.transaction import Transaction

T = TypeVar("T", bound=Transaction)

Perform = Callable[[Any], Awaitable[Any]]
"""Like `perform` of an effect: takes the intent, returns the result or raises."""


def with_recorded_calls(
    handlers: Handlers[T],
    effect_stubs: Mapping[type[EventData], Perform],
    calls: list[Any],
    clock: Callable[[], float],
) -> Handlers[T]:
    """Return the table with effects that append the intent of each call to `calls`.

    Circuit breakers are replaced by copies with the given clock, and rate limits are removed.
    """
    breakers: dict[CircuitBreaker, CircuitBreaker] = {}

    def copy(breaker: CircuitBreaker | None) -> CircuitBreaker | None:
        return None if breaker is None else breakers.setdefault(breaker, breaker.with_clock(clock))

    def noted(effect: Effect[T, Any, Any], perform: Perform) -> Effect[T, Any, Any]:
        async def call(intent: Any) -> Any:
            calls.append(intent)
            return await perform(intent)

        return msgspec.structs.replace(effect, perform=call, breaker=copy(effect.breaker), rate_limit=None)

    return {
        data: noted(handler, effect_stubs.get(data, handler.perform)) if isinstance(handler, Effect) else handler
        for data, handler in handlers.items()
    }
