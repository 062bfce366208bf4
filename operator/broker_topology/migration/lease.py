"""The lease of a migration: only one process at a time may read and write, or one could delete what another just made.

The lease is a queue that expires. Its holder declares it with a random number of its own: the broker refuses a
declaration with another number, and renews the lease for the same one.
"""

import time
from typing import Self

from broker_topology.broker.management_api import ManagementApi, path
from broker_topology.errors import MigrationBusy, RequestFailed

EXPIRES_SECONDS = 30
VALID_SECONDS = 10
"""Much shorter than the expiry: a request can arrive at the broker some time after it was sent."""
MAX_NUMBER = 2**31 - 1
REFUSED = 400


class MigrationLease:
    """An async context manager. Raises `MigrationBusy` at entry when another process holds the lease.

    A process that is killed inside keeps it for EXPIRES_SECONDS.
    """

    def __init__(self, api: ManagementApi, vhost: str, name: str, number: int) -> None:
        self._api = api
        self._target = path("queues", vhost, name)
        # no message is ever routed here, so the maximum length can carry the number
        arguments = {"x-queue-type": "classic", "x-expires": EXPIRES_SECONDS * 1000, "x-max-length": number}
        self._body = {"durable": True, "auto_delete": False, "arguments": arguments}
        self._renewed = 0.0

    async def __aenter__(self) -> Self:
        await self.renew()
        return self

    async def renew(self) -> None:
        """Declares the queue again if the last declaration is older than VALID_SECONDS."""
        sent = time.monotonic()
        if sent - self._renewed < VALID_SECONDS:
            return
        try:
            await self._api.put(self._target, self._body)
        except RequestFailed as exc:
            if exc.status != REFUSED:
                raise
            raise MigrationBusy("another process is migrating this queue at the moment") from exc
        self._renewed = sent

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, Exception):
            await self._api.delete(self._target)
