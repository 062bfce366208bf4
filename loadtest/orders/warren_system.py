"""Warren as a measured system: as `warren up` runs it, with settings that let every order complete at once."""

import asyncio
import sys
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self
from uuid import UUID

import asyncpg

from devtools import invariants
from devtools.invariants import Check
from devtools.local.system import System
from devtools.servers.servers import Servers
from loadtest.orders import catalogue, exactly_once
from services.registry import PROCESSES, SERVICE_NAMES
from warren.progress import ProgressReport

SETTLING_SECONDS = 30.0


class WarrenSystem:
    """Entering starts everything without data; leaving stops it.

    `profile` names a process to run under a profiler, `stopped` services to stop, so that their queues grow.
    `environment` adds settings of every process.
    """

    def __init__(
        self,
        folder: Path,
        report: ProgressReport,
        *,
        profile: str | None = None,
        stopped: Collection[str] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._folder = folder
        self._report = report
        self._profile = profile
        self._stopped = stopped
        self._environment = environment
        self._since = exactly_once.LOWEST_ID
        """Only orders and events with later ids are counted."""
        self.profile_file = folder / "profile.txt"

    def __enter__(self) -> Self:
        prices, stock = catalogue.write(self._folder / "catalogue")
        settings = {
            "*": {"WARREN_LOG_LEVEL": "warning", **self._environment},
            # In a burst orders may wait for long; none must be cancelled for that.
            "order-api": {"WARREN_PRICES_FILE": str(prices), "WARREN_PAYMENT_DEADLINE_SECONDS": "86400"},
            "inventory": {"WARREN_OPENING_STOCK_FILE": str(stock)},
            "shipping": {"WARREN_PREPARATION_SECONDS": "0", "WARREN_CARRIER_SECONDS": "0"},
        }
        self.system = System(self._folder, report=self._report, fresh=True, environment=settings)
        self.system.__enter__()
        self._received = asyncio.run(exactly_once.received_messages(self.servers.broker.endpoints))
        if self._profile is not None:
            self._restart_profiled(self._profile)
        for name in self._stopped:
            self.system.processes.stop(name)
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

    def check_processes(self) -> None:
        self.system.check()

    async def completed_orders(self) -> int:
        statement = "SELECT count(*) FROM \"order\".orders WHERE id >= $1 AND state = 'COMPLETED'"
        return int(await self.fetchval(statement, self._since))

    async def last_completed_at(self) -> float:
        statement = 'SELECT extract(epoch FROM max(updated_at)) FROM "order".orders WHERE id >= $1'
        return float(await self.fetchval(statement, self._since))

    async def is_idle(self) -> bool:
        # From the tables, because the broker's queue depths may be seconds old.
        outboxes = " UNION ALL ".join(f'SELECT FROM "{name}".outbox' for name in SERVICE_NAMES)
        if await self.fetchval(f"SELECT EXISTS ({outboxes})"):
            return False
        async with self.connection() as connection:
            return (await exactly_once.check_inboxes(connection, self._since, self._stopped)).held

    async def check_invariants(self, accepted: Collection[UUID]) -> list[Check]:
        """Check the invariants of every system, and that each event was published and processed exactly once."""
        database, broker = self.servers.postgres.endpoint, self.servers.broker.endpoints
        checks = await invariants.wait_for_invariants(database, broker, seconds=SETTLING_SECONDS, accepted=accepted)
        async with self.connection() as connection:
            checks.append(await exactly_once.check_published(connection, broker, self._received, self._since))
            checks.append(await exactly_once.check_inboxes(connection, self._since, self._stopped))
        return checks

    def connection(self) -> "AbstractAsyncContextManager[asyncpg.Connection[Any]]":
        """A connection of the database's owner."""
        return self.servers.postgres.endpoint.connection()

    async def fetchval(self, statement: str, *arguments: object) -> Any:
        async with self.connection() as connection:
            return await connection.fetchval(statement, *arguments)

    def _restart_profiled(self, name: str) -> None:
        processes = self.system.processes
        processes.stop(name)
        usual = self.system.process(name)
        module_and_arguments = usual.argv[usual.argv.index("-m") + 1 :]
        command = [sys.executable, "-m", "loadtest.profiling", str(self.profile_file), *module_and_arguments]
        processes.start(replace(usual, argv=command))
