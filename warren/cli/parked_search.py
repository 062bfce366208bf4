"""What a command about parked messages looks through, and what it looks for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from warren.cli.access import BrokerAccess, DatabaseAccess, database_beside
from warren.cli.discovery import chosen_lots, parking_lots
from warren.cli.failure_store import FailureStore, failure_store
from warren.cli.filters import MessageFilters
from warren.cli.screen import err, safe_markup
from warren.errors import ClientError
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.dead_letters.parked_message import FailureRecord, ParkedMessage
from warren_messaging.dead_letters.selection import Selection

Found = tuple[ParkedMessage, FailureRecord | None]


class ParkedSearch:
    """Finds messages by their properties and by what is on record of them, in `lots`."""

    def __init__(
        self, address: BrokerAddress, kept: FailureStore | None, filters: MessageFilters, lots: list[str]
    ) -> None:
        self.address = address
        self.lots = lots
        self.named = bool(filters.queue)
        """Whether a queue that is missing, or may not be read, is a mistake."""
        self._records = kept
        self._selection = filters.selection()
        self.filters = self._selection != Selection()
        """Whether it matters what a message is like."""

    async def found(self, window: list[ParkedMessage]) -> list[Found]:
        """Those of a window that are looked for, each with its failure, if that is on record."""
        known: dict[tuple[str, str], FailureRecord] = {}
        if self._records is not None:
            for service in {message.service for message in window if message.service}:
                keys = {key for message in window if message.service == service for key in message.keys}
                rows = await self._records.failures(service, keys)
                known |= {(service, key): failure for key, failure in rows.items()}
        pairs = [(message, _latest(known, message)) for message in window]
        return [(message, failure) for message, failure in pairs if self._selection.matches(message, failure)]

    async def choose(self, window: list[ParkedMessage]) -> list[ParkedMessage]:
        return [message for message, _ in await self.found(window)]

    async def mark(self, messages: list[ParkedMessage], state: str, among: tuple[str, ...]) -> None:
        """Note in the failures tables what became of messages."""
        if self._records is None:
            return
        for service in {message.service for message in messages if message.service}:
            keys = {key for message in messages if message.service == service for key in message.keys}
            await self._records.mark(service, keys, state, among)


@asynccontextmanager
async def parked_search(
    broker: BrokerAccess, database: DatabaseAccess, filters: MessageFilters
) -> AsyncIterator[ParkedSearch]:
    """Connected to the tables for a block. Without a database it works on what the broker knows, and says so."""
    address, beside = broker.address(), database_beside(broker, database)
    if beside is None:
        if filters.reason is not None:
            raise ClientError("--reason needs the database, where reasons are kept: give --database-url too")
        err.print("without --database-url: reasons and attempts are not known", style="yellow")
        yield ParkedSearch(address, None, filters, _lots(broker, address, filters, []))
        return
    async with failure_store(beside) as kept:
        yield ParkedSearch(address, kept, filters, _lots(broker, address, filters, kept.services))


def _lots(broker: BrokerAccess, address: BrokerAddress, filters: MessageFilters, services: list[str]) -> list[str]:
    lots, unknown = parking_lots(broker.management(), address, services)
    if unknown and not filters.queue:
        err.print(f"{safe_markup(unknown)}. Other parking lots: name them with --queue", style="yellow")
    return chosen_lots(filters.queue, lots, address, complete=not unknown)


def _latest(known: dict[tuple[str, str], FailureRecord], message: ParkedMessage) -> FailureRecord | None:
    """The latest: the logical id may be on record for another message, which this one claims to be."""
    failures = [failure for key in message.keys if (failure := known.get((message.service or "", key)))]
    return max(failures, key=lambda failure: failure.last_at, default=None)
