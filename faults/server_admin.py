"""What an administrator sees of the system and does to it, past every service."""

import asyncio
import ssl
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx

from devtools.local.topology import VHOST
from devtools.servers.servers import Servers
from services.registry import SERVICE_NAMES

Run = Callable[[Coroutine[Any, Any, Any]], Any]
"""Runs a coroutine, always on the same loop, and returns its result."""


class Office:
    """Its connections are opened at the first use and after each loss."""

    def __init__(self, servers: Callable[[], Servers], run: Run) -> None:
        self._find_servers = servers
        self._run = run
        self._books: asyncpg.Connection[Any] | None = None
        self._management: httpx.Client | None = None
        self._asking = asyncio.Lock()

    def close_office(self) -> None:
        if self._management is not None:
            self._management.close()
        if self._books is not None:
            self._books.terminate()

    # The database

    def sql(self, statement: str, *arguments: object) -> list[Any]:
        """As the owner; table names need their schema."""
        return list(self._run(self._ask_in_turn(statement, arguments)))

    async def _ask_in_turn(self, statement: str, arguments: tuple[object, ...]) -> list[Any]:
        async with self._asking:  # one connection for every thread that asks
            return await self._ask(statement, arguments)

    async def _ask(self, statement: str, arguments: tuple[object, ...]) -> list[Any]:
        for _ in range(2):
            if self._books is None or self._books.is_closed():
                self._books = await asyncpg.connect(self._find_servers().postgres.address.dsn())
            try:
                return await self._books.fetch(statement, *arguments)
            except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.CrashShutdownError, OSError):
                self._books.terminate()
        raise AssertionError("the database does not answer")

    def count(self, table: str, condition: str = "true") -> int:
        return int(self.sql(f"SELECT count(*) FROM {table} WHERE {condition}")[0][0])  # noqa: S608

    def orders(self, condition: str) -> int:
        """How many orders are so."""
        return self.count('"order".orders', condition)

    def story(self, order: object) -> list[str]:
        """Types of the events of an order that are on record."""
        return [row[0] for row in self.sql("SELECT type FROM audit.events WHERE subject = $1", order)]

    def waiting(self, service: str = "order") -> int:
        """Events in an outbox."""
        return self.count(f'"{service}".outbox')

    def at_rest(self) -> bool:
        """Whether every order has ended and nothing is on its way to the broker."""
        moving = self.orders("state NOT IN ('COMPLETED', 'CANCELLED')")
        return not moving and not any(self.waiting(service) for service in SERVICE_NAMES)

    def blamed(self, *, parked: bool = False) -> dict[str, int]:
        """Messages that are on record as having failed, by service; `parked`: for good.

        Not those for which the payment gateway was too slow or away: that is somebody else, and a try that failed.
        """
        condition = "reason NOT LIKE 'GatewayTrouble:%'" + (" AND state = 'parked'" if parked else "")
        return {service: self.count(f'"{service}".failures', condition) for service in SERVICE_NAMES}

    # The broker

    def api(self, method: str, path: str, **options: Any) -> Any:
        """One request to the management API; paths may use {vhost}."""
        broker = self._find_servers().broker.address
        if self._management is None:
            self._management = httpx.Client(
                base_url=f"{broker.management_url}/api/",
                auth=(broker.admin_username, broker.admin_password),
                verify=ssl.create_default_context(cafile=broker.ca_file),
                timeout=20,
            )
        for attempt in range(3):
            try:
                answer = self._management.request(method, path.format(vhost=VHOST), **options)
                break
            except httpx.TransportError:  # kept from before a restart of the broker
                if attempt == 2:
                    raise
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def depths(self) -> dict[str, int]:
        """Messages in each queue, waiting, delayed or being delivered."""
        found = self.api("GET", "queues/{vhost}?disable_stats=true&enable_queue_totals=true")
        return {queue["name"]: int(queue.get("messages", 0)) for queue in found}

    def depth(self, queue: str) -> int:
        return self.depths()[queue]

    def limit(self, queue: str, most: int) -> None:
        """Let a queue refuse what is more than `most` messages."""
        definition = {"max-length": most, "overflow": "reject-publish"}
        policy = {"pattern": f"^{queue}$", "definition": definition, "apply-to": "queues", "priority": 9}
        self.api("PUT", f"policies/{{vhost}}/limit-{queue}", json=policy)

    def unlimit(self, queue: str) -> None:
        self.api("DELETE", f"policies/{{vhost}}/limit-{queue}")

    def unbind(self, source: str, kind: str, target: str, key: str) -> None:
        """Remove a binding; `kind` of the target is q (queue) or e (exchange)."""
        path = f"bindings/{{vhost}}/e/{source}/{kind}/{target}"
        (found,) = (each for each in self.api("GET", path) if each["routing_key"] == key)
        self.api("DELETE", f"{path}/{quote(found['properties_key'], safe='')}")


def eventually(holds: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    """Wait until something holds; fails with `what` when it does not within the time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(what or f"still not so after {seconds} s")
        time.sleep(0.05)
