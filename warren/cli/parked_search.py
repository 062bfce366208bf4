"""Finds parked messages: the parking lots to read, the filters, and the recorded failure of each message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from warren.cli.access import BrokerAccess, DatabaseAccess, database_beside
from warren.cli.discovery import QueuesNotListed, expected_lots, list_parking_lots, select_parking_lots
from warren.cli.filters import MessageFilters
from warren.cli.screen import err, safe_markup
from warren.errors import ClientError
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.dead_letters.parked_message import FailureRecord, ParkedMessage
from warren_messaging.dead_letters.selection import Selection

if TYPE_CHECKING:
    from warren.cli.failure_store import FailureStore

Match = tuple[ParkedMessage, FailureRecord | None]


class ParkedSearch:
    """One search. It connects to the database when it needs it first; without a database, failures are not known."""

    def __init__(
        self, address: BrokerAddress, database: DatabaseAccess | None, filters: MessageFilters, stack: AsyncExitStack
    ) -> None:
        self.address = address
        self.lots: list[str] = []
        self.named = bool(filters.queue)
        """Whether a queue that is missing, or may not be read, is an error."""
        self._database = database
        self._stack = stack
        self._store: FailureStore | None = None
        self._selection = filters.selection()
        self.filters = self._selection != Selection()
        """Whether the content of a message matters."""

    async def store(self) -> FailureStore | None:
        if self._store is None and self._database is not None:
            from warren.cli.failure_store import failure_store

            self._store = await self._stack.enter_async_context(failure_store(self._database.address()))
        return self._store

    async def match(self, window: list[ParkedMessage]) -> list[Match]:
        """Return the messages that match the filters, each with its failure if one is recorded."""
        known: dict[tuple[str, str], FailureRecord] = {}
        for service, keys in _keys(window).items():
            if (store := await self.store()) is not None:
                known |= {(service, key): failure for key, failure in (await store.by_key(service, keys)).items()}
        pairs = [(message, _latest(known, message)) for message in window]
        return [(message, failure) for message, failure in pairs if self._selection.matches(message, failure)]

    async def choose(self, window: list[ParkedMessage]) -> list[ParkedMessage]:
        return [message for message, _ in await self.match(window)]

    async def mark(self, messages: list[ParkedMessage], state: str, among: tuple[str, ...]) -> None:
        """Set the state of the messages' failures."""
        for service, keys in _keys(messages).items():
            if (store := await self.store()) is not None:
                await store.set_state(service, keys, state, among)


@asynccontextmanager
async def parked_search(
    broker: BrokerAccess, database: DatabaseAccess, filters: MessageFilters
) -> AsyncIterator[ParkedSearch]:
    """Yield a search of the chosen parking lots. Raises ClientError for wrong options and for a lot that is missing."""
    address, beside = broker.address(), database_beside(broker, database)
    if beside is None:
        if filters.reason is not None:
            raise ClientError("--reason needs the database, where reasons are recorded: give --database-url too")
        err.print("without --database-url: reasons and attempts are not known", style="yellow")
    async with AsyncExitStack() as stack:
        search = ParkedSearch(address, beside, filters, stack)
        complete = True
        try:
            lots = list_parking_lots(broker.management(), address)
        except QueuesNotListed as error:
            complete = False
            store = await search.store()
            lots = expected_lots(() if store is None else store.services)
            if not filters.queue:
                err.print(f"{safe_markup(error)}. Name other parking lots with --queue", style="yellow")
        search.lots = select_parking_lots(filters.queue, lots, address, complete=complete)
        yield search


def _keys(messages: list[ParkedMessage]) -> dict[str, set[str]]:
    """Return the keys of the messages' failures, by service."""
    keys: dict[str, set[str]] = {}
    for message in messages:
        if message.service:
            keys.setdefault(message.service, set()).update(message.keys)
    return keys


def _latest(known: dict[tuple[str, str], FailureRecord], message: ParkedMessage) -> FailureRecord | None:
    """Return the latest failure: a forged logical id may be on record for another message."""
    failures = [failure for key in message.keys if (failure := known.get((message.service or "", key)))]
    return max(failures, key=lambda failure: failure.last_at, default=None)
