"""Work that time calls for, not a message: deadlines, carriers.

What is due stands in a table, and the database's clock decides that it is: processes' clocks differ.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from warren_messaging.errors import DatabaseUnavailable
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.telemetry import Telemetry
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)


class PeriodicJob(Generic[T]):
    """Calls `work(transaction)` every `seconds`, in a transaction of its own, as long as it reports more to do.

    `work` takes what is due with FOR UPDATE SKIP LOCKED, so that any number of replicas may tick, announces
    what follows, and returns how many it found; 0 ends the round.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        outbox: Outbox,
        transaction: Callable[[Connection], T],
        work: Callable[[T], Awaitable[int]],
        telemetry: Telemetry,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._outbox = outbox
        self._transaction = transaction
        self._work = work
        self._telemetry = telemetry

    async def run(self) -> None:
        """Until cancelled. A round that fails is told and left to the next one."""
        while True:
            try:
                while await self._round():
                    pass
            except (DatabaseUnavailable, TimeoutError) as error:
                self._telemetry.status(self._name, f"put off: {error}")
            except Exception as error:  # noqa: BLE001 - deadlines must outlive a bad row
                self._telemetry.status(self._name, f"failed: {error!r}")
            await asyncio.sleep(self._seconds * random.uniform(0.9, 1.1))  # noqa: S311 - spreads replicas

    async def _round(self) -> int:
        async with asyncio.timeout(60), self._outbox.transaction(self._transaction) as work:
            return await self._work(work)
