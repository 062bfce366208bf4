"""Only one process at a time may look and write, or one could delete what the other has just made anew.

The lease is a queue that expires by itself. Whoever holds it has declared it with a number of its own; a declaration
with another number is refused by the broker, and one with the same number renews it.
"""

from __future__ import annotations

import secrets
import time
from types import TracebackType
from typing import Self

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.errors import MigrationBusy, RequestFailed

EXPIRES_SECONDS = 30
GOOD_SECONDS = 10
"""A request that is on its way may still arrive that much later than it was sent, and some more."""
HIGHEST_NUMBER = 2**31 - 1
REFUSED = 400


def new_number() -> int:
    """One process's own."""
    return secrets.randbelow(HIGHEST_NUMBER)


class MigrationLease:
    """An async context manager. Raises `MigrationBusy` at entry when another process holds it.

    A process that dies inside leaves it for EXPIRES_SECONDS.
    """

    def __init__(self, api: ManagementApi, vhost: str, name: str, number: int) -> None:
        self._api = api
        self._target = path("queues", vhost, name)
        # no message ever enters, so the length is free to carry the number
        arguments = {"x-queue-type": "classic", "x-expires": EXPIRES_SECONDS * 1000, "x-max-length": number}
        self._body = {"durable": True, "auto_delete": False, "arguments": arguments}
        self._renewed = 0.0

    async def __aenter__(self) -> Self:
        await self.renew()
        return self

    async def renew(self) -> None:
        """Asks again when the last answer is old."""
        if time.monotonic() - self._renewed < GOOD_SECONDS:
            return
        asked = time.monotonic()
        try:
            await self._api.put(self._target, self._body)
        except RequestFailed as exc:
            if exc.status != REFUSED:
                raise
            raise MigrationBusy("another process is at it at the moment") from exc
        self._renewed = asked

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            await self._api.delete(self._target)
