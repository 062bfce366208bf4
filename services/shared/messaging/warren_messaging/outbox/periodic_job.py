"""Work that is repeated at an interval, such as a search for deadlines that have passed.

A table holds what is due. The database's clock decides, since the clocks of processes differ.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from warren_messaging.cancellation import inner_cancellation_as_error
from warren_messaging.errors import DatabaseUnavailable
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.telemetry import Telemetry
from warren_messaging.transaction import Connection, Transaction

T = TypeVar("T", bound=Transaction)


class PeriodicJob(Generic[T]):
    """Calls `job(uow)` every `seconds`, each time in a new transaction, and repeats at once until it returns 0.

    `job` selects due rows with FOR UPDATE SKIP LOCKED, so that any number of replicas may run it, announces events,
    and returns how many rows it found.
    """

    def __init__(
        self,
        name: str,
        seconds: float,
        outbox: Outbox,
        transaction: Callable[[Connection], T],
        job: Callable[[T], Awaitable[int]],
        telemetry: Telemetry,
    ) -> None:
        self._name = name
        self._seconds = seconds
        self._outbox = outbox
        self._transaction = transaction
        self._job = job
        self._telemetry = telemetry

    async def run(self) -> None:
        """Run until cancelled. A round that fails is reported and retried with the next one."""
        while True:
            try:
                while await self._round():
                    pass
            except (DatabaseUnavailable, TimeoutError) as error:
                self._telemetry.status(self._name, f"postponed: {error}")
            except Exception as error:  # noqa: BLE001 - one bad row must not stop all deadlines
                self._telemetry.status(self._name, f"failed: {error!r}")
            await asyncio.sleep(self._seconds * random.uniform(0.9, 1.1))  # noqa: S311 - spreads replicas

    async def _round(self) -> int:
        with inner_cancellation_as_error():
            async with asyncio.timeout(60), self._outbox.transaction(self._transaction) as uow:
                return await self._job(uow)
