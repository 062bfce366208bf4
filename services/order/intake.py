"""Takes orders in: requests that arrive while a transaction is under way share the next one.

So a lone request waits for nobody, and a thousand at once cost ten commits.
"""

import asyncio
from collections import deque

import asyncpg
import msgspec

from services.order.answers import OrderAnswer
from services.order.backlog import Backlog, Overloaded
from services.order.placements import Outcome, Placements, Refusal
from services.order.requests import Placement
from warren_messaging.errors import DatabaseUnavailable
from warren_messaging.outbox.outbox import Outbox

LARGEST_BATCH = 100  # placements in one transaction
LONGEST_QUEUE = 5_000  # placements waiting for one

MOST_ROUNDS = 10  # transactions that may leave one placement undecided; two are enough unless rows are amiss


class _Caller(msgspec.Struct, eq=False):
    placement: Placement
    answer: asyncio.Future[OrderAnswer | Refusal]
    rounds: int = 0

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Intake:
    """One per process. `deadline_seconds` is how long an order may stay unpaid."""

    def __init__(self, outbox: Outbox, backlog: Backlog, *, deadline_seconds: float) -> None:
        self._outbox = outbox
        self._backlog = backlog
        self._deadline_seconds = deadline_seconds
        self._waiting: deque[_Caller] = deque()
        self._working: asyncio.Task[None] | None = None

    async def place(self, placement: Placement) -> OrderAnswer | Refusal:
        """Returns once the order is committed, or was found to be known. Raises Unavailable.

        A caller that gives up does not take its order back: it may already be in a transaction with others.
        """
        await self._backlog.check()
        if len(self._waiting) >= LONGEST_QUEUE:
            raise Overloaded(f"{len(self._waiting)} orders wait for the database")
        caller = _Caller(placement, asyncio.get_running_loop().create_future())
        self._waiting.append(caller)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await caller.answer

    async def _work(self) -> None:
        while self._waiting:
            size = min(len(self._waiting), LARGEST_BATCH)
            taken = [self._waiting.popleft() for _ in range(size)]
            batch = [caller for caller in taken if not caller.answer.done()]  # whoever has gone by now never was here
            if batch:
                await self._settle(batch)

    async def _settle(self, batch: list[_Caller]) -> None:
        try:
            outcomes = await self._decide([caller.placement for caller in batch])
        except asyncpg.DataError as error:
            # A value that the database will not have. Its neighbours must not suffer for it.
            if len(batch) == 1:
                batch[0].fail(error)
                return
            for caller in batch:
                await self._settle([caller])
        except (TimeoutError, asyncpg.LockNotAvailableError, asyncpg.TransactionRollbackError) as error:
            away = DatabaseUnavailable(f"the database took too long: {error!r}")
            for caller in batch:
                caller.fail(away)
        except asyncio.CancelledError:
            for caller in batch:
                caller.answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - every caller must hear of it
            for caller in batch:
                caller.fail(error)
        else:
            self._answer(batch, outcomes)

    def _answer(self, batch: list[_Caller], outcomes: list[Outcome]) -> None:
        undecided = []
        for caller, outcome in zip(batch, outcomes, strict=True):
            if outcome is not None:
                if not caller.answer.done():
                    caller.answer.set_result(outcome)
            elif caller.rounds < MOST_ROUNDS:
                caller.rounds += 1
                undecided.append(caller)
            else:
                caller.fail(DatabaseUnavailable("another request holds this key or number"))
        self._waiting.extendleft(reversed(undecided))

    async def _decide(self, placements: list[Placement]) -> list[Outcome]:
        async with self._outbox.transaction(Placements) as work:
            return await work.decide(placements, self._deadline_seconds)
