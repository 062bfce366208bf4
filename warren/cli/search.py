"""What a command about parked messages looks through, and what it looks for."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

from cyclopts import Group, Parameter
from rich.console import Console

from services.shared.messaging.connection import BrokerAddress
from services.shared.messaging.deadletter import UNROUTED
from services.shared.messaging.parked import Failure, Parked
from services.shared.messaging.selection import Selection
from warren.cli.access import BrokerAccess, DatabaseAccess, database_beside, parking_lots
from warren.cli.moment import moment
from warren.cli.records import Records, records
from warren.client import ClientError

_filters = Group("Which messages", help="All that is given must hold.", sort_key=10)
_err = Console(stderr=True, highlight=False, soft_wrap=True)

Found = tuple[Parked, Failure | None]


@Parameter(name="*", group=_filters)
@dataclass(frozen=True, kw_only=True)
class Filters:
    """The options that choose among parked messages."""

    queue: Annotated[
        list[str],
        Parameter(
            help="inventory or inventory.dlq; unrouted for events no service binds. May be repeated.", negative=""
        ),
    ] = field(default_factory=list)
    reason: Annotated[
        str | None, Parameter(help="Regular expression, found anywhere in the reason; capitals do not matter.")
    ] = None
    since: Annotated[str | None, Parameter(help="Parked then or later: 90s, 10m, 2h, 7d ago, or 2026-11-22T14:30.")] = (
        None
    )
    until: Annotated[str | None, Parameter(help="Parked before then; written like --since.")] = None
    order: Annotated[str | None, Parameter(help="The customer's order number, or the order's id.")] = None
    type: Annotated[str | None, Parameter(help="Event type, such as order.created; * stands for anything.")] = None
    id: Annotated[str | None, Parameter(help="Event id, message id or body hash, or how it begins.")] = None

    @property
    def lots(self) -> list[str]:
        """The queues that were named, each by its full name."""
        return [
            UNROUTED if name in {"unrouted", UNROUTED} else f"{name.removesuffix('.dlq')}.dlq" for name in self.queue
        ]

    def selection(self) -> Selection:
        """Raises ClientError for what cannot be understood."""
        try:
            reason = None if self.reason is None else re.compile(self.reason, re.IGNORECASE)
        except re.error as error:
            raise ClientError(f"--reason {self.reason!r} is no regular expression: {error}") from error
        return Selection(
            reason=reason,
            since=moment(self.since),
            until=moment(self.until),
            order=self.order,
            type=self.type,
            id=self.id,
        )


class Search:
    """Finds messages by their properties and by what is on record of them."""

    def __init__(self, address: BrokerAddress, kept: Records | None, filters: Filters) -> None:
        self.address = address
        self.lots = filters.lots or parking_lots()
        self.named = bool(filters.queue)
        """Whether a queue that is missing is a mistake."""
        self._records = kept
        self._selection = filters.selection()
        self.filters = self._selection != Selection()
        """Whether it matters what a message is like."""

    async def found(self, window: list[Parked]) -> list[Found]:
        """Those of a window that are looked for, each with its failure, if that is on record."""
        known: dict[tuple[str, str], Failure] = {}
        if self._records is not None:
            for service in {message.service for message in window if message.service}:
                keys = {key for message in window if message.service == service for key in message.keys}
                rows = await self._records.failures(service, keys)
                known |= {(service, key): failure for key, failure in rows.items()}
        pairs = [(message, _first(known, message)) for message in window]
        return [(message, failure) for message, failure in pairs if self._selection.matches(message, failure)]

    async def choose(self, window: list[Parked]) -> list[Parked]:
        return [message for message, _ in await self.found(window)]

    async def mark(self, messages: list[Parked], state: str, among: tuple[str, ...]) -> None:
        """Note in the failures tables what became of messages."""
        if self._records is None:
            return
        for service in {message.service for message in messages if message.service}:
            keys = {key for message in messages if message.service == service for key in message.keys}
            await self._records.mark(service, keys, state, among)


@asynccontextmanager
async def search(broker: BrokerAccess, database: DatabaseAccess, filters: Filters) -> AsyncIterator[Search]:
    """Connected to the tables for a block. Without a database it works on what the broker knows, and says so."""
    address, beside = broker.address(), database_beside(broker, database)
    if beside is None:
        if filters.reason is not None:
            raise ClientError("--reason needs the database, where reasons are kept: give --database-url too")
        _err.print("without --database-url: reasons and attempts are not known", style="yellow")
        yield Search(address, None, filters)
        return
    async with records(beside) as kept:
        yield Search(address, kept, filters)


def _first(known: dict[tuple[str, str], Failure], message: Parked) -> Failure | None:
    for key in message.keys:
        if failure := known.get((message.service or "", key)):
            return failure
    return None
