"""What the conformance suite asks of whatever claims to keep the library's guarantees.

A `Driver` runs a table of handlers on one queue. Handlers of the suite work in `Notes`: what they note is their state
change, kept where the driver keeps state, and gone when their transaction is.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from services.shared.contracts import AnyEvent, EventData
from warren_messaging import Transaction

Test = TypeVar("Test", bound=Callable[..., Any])


class Feature(Enum):
    """What not every driver can show. A test that needs one runs on the drivers that declare it, see conftest."""

    SQL = "state is in PostgreSQL: statements, locks and constraints are real"
    BROKER = "messages pass a broker: confirms, returns, users, its own counting and waiting"
    PROCESSES = "processes can be killed and stopped"


class Lost(msgspec.Struct, frozen=True):
    """A message in the parking lot, with what is on record about it."""

    body: bytes
    reason: str
    attempts: int


class Notes(Transaction):
    """Handlers note events here; `save` keeps them."""

    noted: list[AnyEvent]

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.noted = []

    def note(self, event: AnyEvent) -> None:
        self.noted.append(event)


class Line(Protocol):
    """A queue that is being consumed."""

    async def deliver(self, *messages: AnyEvent | bytes, user: str | None = None, together: bool = False) -> None:
        """Put messages into the queue and return when all that follows has come to rest.

        `user` is the broker user that publishes them, "" one that is not named; by default the source of each event.

        With `together` no transaction goes on before the last message is in the queue, however slow that is.
        """

    async def noted(self) -> list[UUID]:
        """The logical id of each event that was noted, once for each time."""

    async def announced(self) -> list[AnyEvent]:
        """What has been published, in the order of its arrival."""

    async def parked(self) -> list[Lost]:
        """What is in the parking lot."""

    def repeated(self) -> int:
        """Deliveries that changed nothing because they had been processed before."""

    def failures(self) -> Sequence[tuple[str, int, bool]]:
        """Reason, count of attempts, and whether that was the last one."""

    def batches(self) -> list[int]:
        """The number of events in each transaction that was begun."""

    def now(self) -> float:
        """Seconds, on the clock that retries wait by."""


class Driver(Protocol):
    features: frozenset[Feature]

    def consume(self, handlers: Any, *, attempts: int = 3, replicas: int = 1) -> AbstractAsyncContextManager[Line]: ...


async def note(event: AnyEvent, work: Notes) -> Iterable[EventData]:
    """A handler that only changes state."""
    work.note(event)
    return ()


def needs(*features: Feature) -> Callable[[Test], Test]:
    """Runs the test on the drivers that have these features, and on no other."""

    def mark(test: Test) -> Test:
        vars(test)["needs"] = set(features)
        return test

    return mark
