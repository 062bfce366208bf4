"""Warren itself as a flow: the system as `warren up` runs it, set up so that every order can be completed at once."""

import asyncio
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

import asyncpg

from devtools import invariants
from devtools.invariants import Check
from devtools.local.system import System
from devtools.processes.supervisor import ProcessSpec
from devtools.servers.servers import Servers
from loadtest.orders import catalogue, exactness
from services.registry import PROCESSES, SERVICE_NAMES
from warren.progress import ProgressReport

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any]
else:
    Connection = asyncpg.Connection

SETTLING_SECONDS = 30.0


class Ours:
    """Entering starts everything from empty; leaving stops it. `profile` names a process to run under a profiler."""

    def __init__(self, folder: Path, report: ProgressReport, profile: str | None = None) -> None:
        self._folder = folder
        self._report = report
        self._profile = profile
        self.profile_file = folder / "profile.txt"

    def __enter__(self) -> Self:
        prices, stock = catalogue.write(self._folder / "catalogue")
        settings = {
            "*": {"WARREN_LOG_LEVEL": "warning"},
            # Orders may queue for long in a burst; none is to be cancelled for that.
            "order-api": {"WARREN_PRICES_FILE": str(prices), "WARREN_PAYMENT_DEADLINE_SECONDS": "86400"},
            "inventory": {"WARREN_OPENING_STOCK_FILE": str(stock)},
            "shipping": {"WARREN_PREPARATION_SECONDS": "0", "WARREN_CARRIER_SECONDS": "0"},
        }
        self.system = System(self._folder, report=self._report, fresh=True, environment=settings)
        self.system.__enter__()
        self._received = asyncio.run(exactness.received(self.servers.broker.address))
        if self._profile is not None:
            self._restart_profiled(self._profile)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.system.__exit__(kind, error, trace)

    @property
    def servers(self) -> Servers:
        return self.system.servers

    @property
    def url(self) -> str:
        return f"{self.system.url('order-api')}/orders"

    @property
    def pids(self) -> Mapping[str, int]:
        pids = self.system.processes.pids
        return {name: pids[name] for name in PROCESSES if name in pids}

    def check(self) -> None:
        self.system.check()

    async def completed(self) -> int:
        return int(await self.fetchval("SELECT count(*) FROM \"order\".orders WHERE state = 'COMPLETED'"))

    async def last_completed_at(self) -> float:
        return float(await self.fetchval('SELECT extract(epoch FROM max(updated_at)) FROM "order".orders'))

    async def at_rest(self) -> bool:
        # By the tables: what the broker says of a queue's length may be seconds old.
        outboxes = " UNION ALL ".join(f'SELECT FROM "{name}".outbox' for name in SERVICE_NAMES)
        if await self.fetchval(f"SELECT EXISTS ({outboxes})"):
            return False
        connection = await asyncpg.connect(self.servers.postgres.address.dsn())
        try:
            return (await self._inboxes(connection)).held
        finally:
            await connection.close()

    async def _inboxes(self, connection: Connection) -> Check:
        return await exactness.inboxes(connection)

    async def judge(self, accepted: Collection[UUID]) -> list[Check]:
        """The invariants that everybody shares, and exactly once. `accepted` are the orders answered with 202."""
        database, broker = self.servers.postgres.address, self.servers.broker.address
        checks = await invariants.settled(database, broker, seconds=SETTLING_SECONDS, accepted=accepted)
        return checks + await exactness.judge(self.system, self._received)

    async def fetchval(self, statement: str) -> Any:
        """One value, with the owner's rights."""
        connection = await asyncpg.connect(self.servers.postgres.address.dsn())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    def _restart_profiled(self, name: str) -> None:
        processes = self.system.processes
        processes.stop(name)
        plain = self.system.process(name)
        arguments = list(plain.argv[2:])  # after: python -m
        command = [sys.executable, "-m", "loadtest.under_profiler", str(self.profile_file), *arguments]
        processes.start(ProcessSpec(name, command, plain.env, plain.cwd))
