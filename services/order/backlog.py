"""How many events wait for the broker. Taking orders faster than they can be published would only hide that."""

import time

from warren_messaging.errors import Unavailable
from warren_messaging.postgres.database import Database

FRESH = 1.0  # seconds that a count is good for


class Overloaded(Unavailable):
    """Too much is waiting already; nothing is wrong with the request."""


class Backlog:
    def __init__(self, database: Database, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._counted_at = float("-inf")
        self._full = False

    async def check(self) -> None:
        """Raises Overloaded while the outbox holds more than the limit. Counts at most once a second."""
        now = time.monotonic()
        if now - self._counted_at > FRESH:
            self._counted_at = now  # before the wait: one request counts, the others go by the last count
            async with self._database.connection() as connection:
                self._full = await connection.fetchval(
                    "SELECT count(*) > $1::bigint FROM (SELECT FROM outbox LIMIT $1::bigint + 1) AS waiting",
                    self._limit,
                )
        if self._full:
            raise Overloaded(f"more than {self._limit} events wait for the broker")
