"""The interface between the conformance suite and the backends that run it.

A backend runs handlers on one queue. The suite's handlers record events in a `RecordingTransaction`. These records are
the handlers' state change: the backend stores them with its other state and rolls them back with the transaction.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from warren_messaging import Transaction

Test = TypeVar("Test", bound=Callable[..., Any])
CONFIRMED = OrderConfirmed(customer="gayal")
COMPLETED = OrderCompleted(customer="gayal")


class Feature(Enum):
    """A property that only some backends have. A test runs on the backends with the features in its `@needs(...)`."""

    SQL = "state is in PostgreSQL: statements, locks and constraints are real"
    BROKER = "messages pass through a broker: confirms, returns, users, delivery counts and delayed retries are real"
    PROCESSES = "processes can be killed and stopped"


class DeadLetter(msgspec.Struct, frozen=True):
    """A message in the parking lot, with its recorded failure."""

    body: bytes
    reason: str
    attempts: int


class RecordingTransaction(Transaction):
    """Handlers call `record`; `save` stores the recorded events."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.recorded: list[AnyEvent] = []

    def record(self, event: AnyEvent) -> None:
        self.recorded.append(event)


class ConsumedQueue(Protocol):
    """A queue with running consumers."""

    async def deliver(self, *messages: AnyEvent | bytes, user: str | None = None, together: bool = False) -> None:
        """Publish messages and return when they and everything that follows from them are processed.

        `user` is the broker user that publishes them; "" sends no user. The default is the source of each event.
        With `together` no transaction continues before the last message is in the queue.
        """

    async def recorded(self) -> list[UUID]:
        """The logical id of each recorded event, once for each record."""

    async def announced(self) -> list[AnyEvent]:
        """Published events, in the order of arrival."""

    async def parked(self) -> list[DeadLetter]: ...

    async def advance(self, seconds: float) -> None:
        """Let this time pass for scheduled messages, and return when those that are due are published."""

    async def scheduled(self) -> list[UUID]:
        """The ids of the scheduled messages, in the order of their times."""

    def repeated(self) -> int:
        """The number of deliveries that changed nothing because the event had been processed before."""

    def failures(self) -> Sequence[tuple[str, int, bool]]:
        """Reason and number of each failed attempt, and whether the message was parked after it."""

    def batches(self) -> list[int]:
        """The number of events in each transaction that was begun."""

    def now(self) -> float:
        """Seconds on the clock that delays retries."""


class Backend(Protocol):
    features: frozenset[Feature]

    def consume(
        self, handlers: Any, *, attempts: int = 3, replicas: int = 1
    ) -> AbstractAsyncContextManager[ConsumedQueue]: ...


async def record(event: AnyEvent, uow: RecordingTransaction) -> Iterable[EventData]:
    """A handler that records the event."""
    uow.record(event)
    return ()


async def record_and_announce(event: Event[OrderConfirmed], uow: RecordingTransaction) -> Iterable[EventData]:
    """A handler that records the event and announces an event that follows from it."""
    uow.record(event)
    return [COMPLETED]


def fail_if_bad(error: BaseException) -> Any:
    """Return a handler that raises `error` for an event with the reference "bad" and records any other event."""

    async def handler(event: AnyEvent, uow: RecordingTransaction) -> Iterable[EventData]:
        if event.reference == "bad":
            raise error
        return await record(event, uow)

    return handler


def fail_first(times: int, error: Exception) -> Any:
    """Return a handler that raises `error` the first `times` times and then records events."""
    calls: list[AnyEvent] = []

    async def handler(event: AnyEvent, uow: RecordingTransaction) -> Iterable[EventData]:
        calls.append(event)
        if len(calls) <= times:
            raise error
        return await record(event, uow)

    return handler


def needs(*features: Feature) -> Callable[[Test], Test]:
    """Run the test only on the backends that have these features."""

    def mark(test: Test) -> Test:
        vars(test)["needs"] = set(features)
        return test

    return mark
