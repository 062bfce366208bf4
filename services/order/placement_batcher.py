"""Batches placements: placements that arrive during a transaction share the next one.

A single placement does not wait, and a thousand concurrent ones need ten commits.
"""

import asyncio
import time
from collections import deque

import asyncpg
import msgspec

from services.order.errors import OrderError, Overloaded
from services.order.placement_store import PaymentTerms, PlacementResult, PlacementTransaction
from services.order.requests import Placement
from services.order.responses import OrderResponse
from services.order.store import outbox_exceeds
from warren_messaging.errors import DatabaseUnavailable
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.postgres.database import Database
from warren_messaging.tracing import without_span

MAX_BATCH = 100  # placements in one transaction
MAX_QUEUE = 5_000  # placements that wait for a transaction
MAX_ATTEMPTS = 10  # transactions that may leave one placement undecided; two suffice unless rows are inconsistent
COUNT_SECONDS = 1.0  # how long a count of the outbox is used


class OutboxLimit:
    """Refuses orders while too many events wait for the broker: the events of further orders would wait, too."""

    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._counted_at = float("-inf")
        self._exceeded = False

    async def check(self) -> None:
        """Raises Overloaded while the outbox holds more events than the limit. Counts at most once a second."""
        now = time.monotonic()
        if now - self._counted_at > COUNT_SECONDS:
            self._counted_at = now  # set before the await: one request counts, the others use the last count
            async with self._database.connection() as connection:
                self._exceeded = await outbox_exceeds(connection, self._limit)
        if self._exceeded:
            raise Overloaded(f"more than {self._limit} events wait for the broker")


class _Pending(msgspec.Struct, eq=False):
    placement: Placement
    response: asyncio.Future[OrderResponse]
    attempts: int = 0

    def fail(self, error: Exception) -> None:
        if not self.response.done():
            self.response.set_exception(error)


class PlacementBatcher:
    """Stores placements in shared transactions, with the terms of payment that apply to every order."""

    def __init__(self, outbox: Outbox, limit: OutboxLimit, terms: PaymentTerms) -> None:
        self._outbox = outbox
        self._limit = limit
        self._terms = terms
        self._queue: deque[_Pending] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def submit(self, placement: Placement) -> OrderResponse:
        """Returns the order that is committed for the placement, or was committed for an equal one.

        Raises OrderError or Unavailable. A caller that disconnects does not withdraw its placement: it may be in a
        transaction with others.
        """
        await self._limit.check()
        if len(self._queue) >= MAX_QUEUE:
            raise Overloaded(f"{len(self._queue)} orders wait for the database")
        pending = _Pending(placement, asyncio.get_running_loop().create_future())
        self._queue.append(pending)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), context=without_span())
        return await pending.response

    async def _work(self) -> None:
        while self._queue:
            size = min(len(self._queue), MAX_BATCH)
            taken = [self._queue.popleft() for _ in range(size)]
            # Callers that disconnected are dropped from the batch.
            if batch := [pending for pending in taken if not pending.response.done()]:
                await self._process(batch)

    async def _process(self, batch: list[_Pending]) -> None:
        try:
            results = await self._decide([pending.placement for pending in batch])
        except asyncpg.DataError as error:
            # The database rejects a value: process the placements one by one, so only that one fails.
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for pending in batch:
                await self._process([pending])
        except (TimeoutError, asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError) as error:
            unavailable = DatabaseUnavailable(f"the database took too long: {error!r}")
            for pending in batch:
                pending.fail(unavailable)
        except asyncio.CancelledError:
            for pending in batch:
                pending.response.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every caller must get a response
            for pending in batch:
                pending.fail(error)
        else:
            self._respond(batch, results)

    def _respond(self, batch: list[_Pending], results: list[PlacementResult]) -> None:
        undecided = []
        for pending, result in zip(batch, results, strict=True):
            if isinstance(result, OrderError):
                pending.fail(result)
            elif result is not None:
                if not pending.response.done():
                    pending.response.set_result(result)
            elif pending.attempts < MAX_ATTEMPTS:
                pending.attempts += 1
                undecided.append(pending)
            else:
                pending.fail(DatabaseUnavailable("another request holds this idempotency key or reference"))
        self._queue.extendleft(reversed(undecided))

    async def _decide(self, placements: list[Placement]) -> list[PlacementResult]:
        async with self._outbox.transaction(PlacementTransaction) as uow:
            return await uow.decide(placements, self._terms)
