"""The plain shop as a flow: on servers that run, in a virtual host and a database of its own."""

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
from loadtest.bench import Bench
from loadtest.errors import RunFailed
from loadtest.orders import catalogue
from loadtest.plain.handlers import HANDLERS

PROCESSES = ("order-api", *HANDLERS)
OUTBOXES = ("order_api", "order_worker", "inventory", "payment", "shipping", "notification")
SCHEMA = Path(__file__).with_name("schema.sql")
READY_SECONDS = 30.0
SETTLING_SECONDS = 15.0
EVENTS = 10
"""That order.exchange sees of an order."""
TOLD = 4
"""Of them, to the customer."""
RECEIVED = {"order_worker": 5, "inventory": 2, "payment": 1, "shipping": 1, "notification": 6, "audit": EVENTS}
RECEIVED |= {"email": TOLD, "sms": TOLD}


class Plain:
    """Use as `async with plain.running()`."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._servers = servers
        self._folder = folder
        self._bench = Bench(servers, "plain", TOPOLOGY)
        self._logs = folder / "logs" / "plain"
        self._processes = Supervisor(self._logs)
        self._port = remembered_ports(folder / "plain-ports.json", ["order-api"])["order-api"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Raises LocalError when a process does not start."""
        prices, _ = catalogue.write(self._folder / "catalogue")
        async with self._bench.laid_out():
            await self._create_tables()
            try:
                for name in PROCESSES:
                    self._processes.start(self._process(name, prices))
                await self._ready()
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

    def check(self) -> None:
        self._processes.check()

    async def completed(self) -> int:
        async with self._bench.owner() as owner:
            return int(await owner.fetchval("SELECT count(*) FROM orders WHERE state = 'COMPLETED'"))

    async def last_completed_at(self) -> float:
        async with self._bench.owner() as owner:
            return float(await owner.fetchval("SELECT extract(epoch FROM max(updated_at)) FROM orders"))

    async def at_rest(self) -> bool:
        async with self._bench.owner() as owner:
            for name in OUTBOXES:
                if await owner.fetchval(f"SELECT EXISTS (SELECT FROM {name}_outbox WHERE sent_at IS NULL)"):  # noqa: S608
                    return False
        return not await self._short()

    async def judge(self, accepted: Collection[UUID]) -> list[Check]:
        """What must hold of the plain shop too, or its speed would be worth nothing."""
        async with self._bench.owner() as owner:
            orders = await owner.fetchval("SELECT count(*) FROM orders WHERE id = ANY($1::uuid[])", list(accepted))
            unfinished = await owner.fetchval("SELECT count(*) FROM orders WHERE state <> 'COMPLETED'")
            lost = await owner.fetchval(
                "SELECT count(*) FROM stock WHERE on_hand + reserved + sold <> $1 OR reserved <> 0", catalogue.PIECES
            )
            charged = await owner.fetchval(
                "SELECT count(*) FROM orders o JOIN gateway_entries e ON e.key = o.id::text"
                " AND e.amount_cents = o.total_cents"
            )
        full, queues = await self._drained()
        short = await self._short()
        return [
            Check(
                "plain: every accepted order is completed",
                not unfinished and orders == len(accepted),
                f"{orders:,} of {len(accepted):,} are there, {unfinished} not completed",
            ),
            Check("plain: stock is conserved", not lost, f"{lost} articles are wrong"),
            Check("plain: every order was charged once", charged == orders, f"{charged:,} charges"),
            Check(
                "plain: everybody received everything",
                not short,
                "; ".join(short) or f"{orders * sum(RECEIVED.values()):,} deliveries",
            ),
            Check("plain: no message waits", not full, str(full or f"{queues} queues looked at")),
        ]

    async def _drained(self) -> tuple[dict[str, int], int]:
        """Queues that are not empty, and how many there are. The broker's figures follow by some seconds."""
        deadline = time.monotonic() + SETTLING_SECONDS
        while True:
            depths = await queue_depths(self._servers.broker.address, self._bench.vhost)
            full = {name: depth for name, depth in depths.items() if depth}
            if not full or time.monotonic() > deadline:
                return full, len(depths)
            await asyncio.sleep(0.5)

    async def _short(self) -> list[str]:
        """Who has not received as much as all orders make."""
        async with self._bench.owner() as owner:
            orders = await owner.fetchval("SELECT count(*) FROM orders")
            found = {name: await owner.fetchval(f"SELECT count(*) FROM {name}_inbox") for name in RECEIVED}  # noqa: S608
        return [
            f"{name} has {found[name]:,} of {each * orders:,}"
            for name, each in RECEIVED.items()
            if found[name] != each * orders
        ]

    async def _create_tables(self) -> None:
        async with self._bench.owner() as owner:
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
                # What the relay looks for is found without reading what was sent.
                await owner.execute(f"CREATE INDEX ON {name}_outbox (position) WHERE sent_at IS NULL")
            await owner.executemany(
                "INSERT INTO stock (sku, on_hand) VALUES ($1, $2)",
                [(sku, catalogue.PIECES) for sku in catalogue.prices()],
            )

    def _process(self, name: str, prices: Path) -> ProcessSpec:
        user = name.split("-", maxsplit=1)[0]
        settings = self._bench.environment | {
            "WARREN_BROKER_CREDENTIALS": str(self._bench.secrets / f"{user}-rabbitmq"),
            "WARREN_PRICES_FILE": str(prices),
            "WARREN_HTTP_PORT": str(self._port),
        }
        return ProcessSpec(name, [sys.executable, "-m", "loadtest.plain", name], settings, CHECKOUT)

    async def _ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            self.check()
            if await self._idle_queues() == 0 and await asyncio.to_thread(self._answers):
                return
            if time.monotonic() > deadline:
                raise RunFailed(f"the plain shop is not ready after {READY_SECONDS:.0f} s; logs: {self._logs}")
            await asyncio.sleep(0.2)

    async def _idle_queues(self) -> int:
        """How many queues nobody consumes yet."""
        async with self._bench.channel() as channel:
            names = [f"{name.split('_')[0]}.queue" for name in RECEIVED]
            found = [await channel.queue_declare(name, passive=True) for name in names]
        return sum(not queue.consumer_count for queue in found)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.url.replace("/orders", "/livez"), timeout=2).close()  # noqa: S310 - our own
        except OSError:
            return False
        return True
