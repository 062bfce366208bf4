"""The plain implementation as a measured system: on running servers, in a virtual host and database of its own."""

import asyncio
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from devtools.invariants import Check, queue_depths
from devtools.local.topology import TOPOLOGY
from devtools.paths import CHECKOUT
from devtools.ports import remembered_ports
from devtools.processes.supervisor import ProcessSpec, Supervisor
from devtools.servers.servers import Servers
from loadtest.child import RunFailed
from loadtest.environment import BenchmarkEnv
from loadtest.orders import catalogue
from loadtest.plain.handlers import HANDLERS

PROCESSES = ("order-api", *HANDLERS)
OUTBOXES = ("order_api", "order_worker", "inventory", "payment", "shipping", "fraud", "notification")
SCHEMA = Path(__file__).with_name("schema.sql")
READY_SECONDS = 30.0
SETTLING_SECONDS = 15.0
EVENTS = 10
"""Events of an order on order.exchange."""
NOTIFICATIONS = 4
"""Notifications of an order."""
RECEIVED = {"order_worker": 5, "inventory": 2, "payment": 1, "shipping": 1, "fraud": 1, "notification": 6}
RECEIVED |= {"audit": EVENTS, "email": NOTIFICATIONS, "sms": NOTIFICATIONS}
"""Events that each process receives for an order."""


class PlainSystem:
    """Use as `async with system.running()`."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._servers = servers
        self._folder = folder
        self._env = BenchmarkEnv(servers, "plain", TOPOLOGY)
        self._logs = folder / "logs" / "plain"
        self._processes = Supervisor(self._logs)
        self._port = remembered_ports(folder / "plain-ports.json", ["order-api"])["order-api"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Raises LocalError when a process does not start."""
        prices, _ = catalogue.write(self._folder / "catalogue")
        async with self._env.prepared():
            await self._create_tables()
            try:
                for name in PROCESSES:
                    self._processes.start(self._process(name, prices))
                await self._wait_until_ready()
                yield
            finally:
                await asyncio.to_thread(self._processes.stop_all)

    @property
    def servers(self) -> Servers:
        return self._servers

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/orders"

    @property
    def pids(self) -> Mapping[str, int]:
        return self._processes.pids

    def check_processes(self) -> None:
        self._processes.check()

    async def completed_orders(self) -> int:
        return await self._count("orders WHERE state = 'COMPLETED'")

    async def last_completed_at(self) -> float:
        async with self._env.owner() as owner:
            return float(await owner.fetchval("SELECT extract(epoch FROM max(updated_at)) FROM orders"))

    async def is_idle(self) -> bool:
        for name in OUTBOXES:
            if await self._count(f"{name}_outbox WHERE sent_at IS NULL"):
                return False
        return not await self._missing_deliveries()

    async def check_invariants(self, accepted: Collection[UUID]) -> list[Check]:
        """Check that the plain implementation is correct too, or its speed would be meaningless."""
        found = await self._count("orders WHERE id = ANY($1::uuid[])", list(accepted))
        unfinished = await self._count("orders WHERE state <> 'COMPLETED'")
        not_conserved = "stock WHERE on_hand + reserved + sold <> $1 OR reserved <> 0"
        wrong_stock = await self._count(not_conserved, catalogue.PIECES)
        charged = await self._count(
            "orders o JOIN gateway_entries e ON e.key = o.id::text AND e.amount_cents = o.total_cents"
        )
        full, queues = await self._full_queues()
        missing = await self._missing_deliveries()
        return [
            Check(
                "plain: every accepted order is completed",
                not unfinished and found == len(accepted),
                f"{found:,} of {len(accepted):,} exist, {unfinished} not completed",
            ),
            Check("plain: stock is conserved", not wrong_stock, f"{wrong_stock} articles are wrong"),
            Check("plain: every order was charged once", charged == found, f"{charged:,} charges"),
            Check(
                "plain: each process received its events",
                not missing,
                "; ".join(missing) or f"{found * sum(RECEIVED.values()):,} deliveries",
            ),
            Check("plain: no message waits", not full, str(full or f"{queues} empty queues")),
        ]

    async def _count(self, table_and_condition: str, *arguments: object) -> int:
        async with self._env.owner() as owner:
            return int(await owner.fetchval(f"SELECT count(*) FROM {table_and_condition}", *arguments))  # noqa: S608

    async def _full_queues(self) -> tuple[dict[str, int], int]:
        """Queues that are not empty, and the number of all queues. The broker reports depths some seconds late."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while True:
            depths = await queue_depths(self._servers.broker.endpoints, self._env.vhost)
            full = {name: depth for name, depth in depths.items() if depth}
            if not full or time.monotonic() > deadline:
                return full, len(depths)
            await asyncio.sleep(0.5)

    async def _missing_deliveries(self) -> list[str]:
        orders = await self._count("orders")
        found = {name: await self._count(f"{name}_inbox") for name in RECEIVED}
        return [
            f"{name} has {found[name]:,} of {each * orders:,}"
            for name, each in RECEIVED.items()
            if found[name] != each * orders
        ]

    async def _create_tables(self) -> None:
        async with self._env.owner() as owner:
            await owner.execute(SCHEMA.read_text())
            for name in RECEIVED:
                await owner.execute(
                    f"CREATE TABLE {name}_inbox (id uuid PRIMARY KEY, at timestamptz NOT NULL DEFAULT now())"
                )
            for name in OUTBOXES:
                await owner.execute(
                    f"CREATE TABLE {name}_outbox (position bigint GENERATED ALWAYS AS IDENTITY, id uuid PRIMARY KEY,"
                    " routing_key text NOT NULL, subject uuid NOT NULL, body bytea NOT NULL,"
                    " created_at timestamptz NOT NULL DEFAULT now(), sent_at timestamptz)"
                )
                # The relay finds unsent events without reading sent ones.
                await owner.execute(f"CREATE INDEX ON {name}_outbox (position) WHERE sent_at IS NULL")
            stock = [(sku, catalogue.PIECES) for sku in catalogue.prices()]
            await owner.executemany("INSERT INTO stock (sku, on_hand) VALUES ($1, $2)", stock)

    def _process(self, name: str, prices: Path) -> ProcessSpec:
        user = name.split("-", maxsplit=1)[0]
        settings = self._env.environment | {
            "WARREN_BROKER_CREDENTIALS": str(self._env.secrets / f"{user}-rabbitmq"),
            "WARREN_PRICES_FILE": str(prices),
            "WARREN_HTTP_PORT": str(self._port),
        }
        return ProcessSpec(name, [sys.executable, "-m", "loadtest.plain", name], settings, CHECKOUT)

    async def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            self.check_processes()
            if await self._all_queues_consumed() and await asyncio.to_thread(self._api_answers):
                return
            if time.monotonic() > deadline:
                raise RunFailed(f"the plain system is not ready after {READY_SECONDS:.0f} s; logs: {self._logs}")
            await asyncio.sleep(0.2)

    async def _all_queues_consumed(self) -> bool:
        async with self._env.channel() as channel:
            names = [f"{name.split('_')[0]}.queue" for name in RECEIVED]
            found = [await channel.queue_declare(name, passive=True) for name in names]
        return all(queue.consumer_count for queue in found)

    def _api_answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url.replace("/orders", "/livez"), timeout=2).close()  # noqa: S310 - our own
        except OSError:
            return False
        return True
