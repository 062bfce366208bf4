"""Administrator's access to the database: what the services have stored."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from devtools.servers.servers import Servers
from services.payment.gateway import GatewayError
from services.registry import SERVICE_NAMES

RunCoroutine = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine, always on the same loop, and returns its result."""


class DatabaseAdmin:
    """Part of FaultHarness. One connection, opened at the first use and after each loss."""

    servers: Servers

    def __init__(self, run: RunCoroutine) -> None:
        self._run = run
        self._connection: asyncpg.Connection[Any] | None = None
        self._one_at_a_time = asyncio.Lock()

    def close_database_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement as the owner; table names need their schema. Any thread may call it."""
        return list(self._run(self._fetch(statement, arguments)))

    async def _fetch(self, statement: str, arguments: tuple[object, ...]) -> list[Any]:
        async with self._one_at_a_time:
            for _ in range(2):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self.servers.postgres.endpoint.dsn())
                try:
                    return await self._connection.fetch(statement, *arguments)
                except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CrashShutdownError, OSError):
                    self._connection.terminate()
            raise AssertionError("the database does not answer")

    def count(self, table: str, condition: str = "true") -> int:
        return int(self.sql(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0])  # noqa: S608

    def count_orders(self, condition: str) -> int:
        return self.count('"order".orders', condition)

    def order_states(self, order_ids: Sequence[UUID]) -> dict[UUID, str]:
        """The state of each order, followed by its reason if there is one."""
        statement = "SELECT id, concat_ws(' ', state, reason) FROM \"order\".orders WHERE id = ANY($1::uuid[])"
        return dict(self.sql(statement, order_ids))

    def event_types(self, order_id: UUID) -> list[str]:
        """Types of the order's events in the audit log."""
        return [row[0] for row in self.sql("SELECT type FROM audit.events WHERE subject = $1", order_id)]

    def outbox_size(self, service: str = "order") -> int:
        return self.count(f'"{service}".outbox')

    def is_idle(self) -> bool:
        """Whether every order has a final state and every outbox is empty."""
        active = self.count_orders("state NOT IN ('COMPLETED', 'CANCELLED')")
        return not active and not any(self.outbox_size(service) for service in SERVICE_NAMES)

    def failure_counts(self, *, parked: bool = False) -> dict[str, int]:
        """Recorded failures by service; with `parked` only those of parked messages.

        Omits attempts that failed because the payment gateway was slow or unavailable: Warren does not cause them.
        """
        condition = f"reason NOT LIKE '{GatewayError.__name__}:%'" + (" AND state = 'parked'" if parked else "")
        return {service: self.count(f'"{service}".failures', condition) for service in SERVICE_NAMES}
