"""Lets calls wait for their slots of a rate limit, which the database hands out to all replicas."""

import asyncio
import time
from collections.abc import Hashable, Mapping

from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.errors import ConfigurationError, DatabaseUnavailable, DownstreamUnavailable
from warren_messaging.postgres import rate_limit
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.rate_limit import RateLimit

TOLERANCE = 1.0  # seconds that a call may start after its slot


class RateLimiter:
    """One rate limit in one process. Calls that ask at the same time reserve their slots with one statement.

    A call starts at the time of its slot, or up to TOLERANCE later. So at most burst + (t + TOLERANCE) * per_second
    calls start in t seconds, in all replicas together.
    """

    def __init__(self, limit: RateLimit, database: Database) -> None:
        self._limit = limit
        self._database = database
        self._reservations: RequestCoalescer[None, float | DownstreamUnavailable] = RequestCoalescer(self._reserve)

    async def wait(self, key: Hashable, interrupted: asyncio.Event) -> float:
        """Wait for a slot, and return its time (time.monotonic).

        Raises DownstreamUnavailable when the slot would be too far ahead, or `interrupted` is set; the slot of an
        interrupted call is wasted. Raises DatabaseUnavailable.
        """
        seconds = await self._reservations.submit(key, None)
        if isinstance(seconds, DownstreamUnavailable):
            raise seconds
        slot = time.monotonic() + seconds
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await interrupted.wait()
            except TimeoutError:
                return slot
        if interrupted.is_set():
            raise DownstreamUnavailable(f"rate limit {self._limit.name!r}: the consumer stops", 0.0)
        return slot

    @staticmethod
    def has_passed(slot: float) -> bool:
        """Whether a slot is too long ago: calls that wait for other calls could start together."""
        return time.monotonic() - slot > TOLERANCE

    async def _reserve(self, calls: Mapping[Hashable, None]) -> Mapping[Hashable, float | DownstreamUnavailable]:
        try:
            async with self._database.connection() as connection:
                waits, seconds = await rate_limit.reserve(connection, self._limit, len(calls))
        except (TimeoutError, ConfigurationError) as error:
            raise DatabaseUnavailable(f"cannot reserve slots of rate limit {self._limit.name!r}: {error}") from error
        used_up = DownstreamUnavailable(
            f"rate limit {self._limit.name!r}: all slots of the next {rate_limit.MAX_WAIT:g} s are reserved", seconds
        )
        return {key: waits[number] if number < len(waits) else used_up for number, key in enumerate(calls)}
