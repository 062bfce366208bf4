"""A process of the plain implementation: consumes messages one by one or answers requests, and relays its outbox."""

import asyncio
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

import aio_pika
import asyncpg
import msgspec
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from loadtest.plain import outbox
from loadtest.plain.outbox import PlainRelay
from services.shared.contracts import AnyEvent, EventData

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[Any]
    Pool = asyncpg.Pool[Any]
else:
    Connection = asyncpg.pool.PoolConnectionProxy
    Pool = asyncpg.Pool

PREFETCH = 20
POOL_SIZE = 10

Handler = Callable[[Any, Connection], Awaitable[Sequence[EventData]]]
"""(event, connection in a transaction) -> events to publish about the same order."""


class PlainSettings(msgspec.Struct, frozen=True):
    """Read from the same variables as the settings of Warren's services."""

    broker_url: str
    broker_credentials: Path
    broker_ca_file: Path
    database_url: str
    database_password_file: Path
    database_ca_file: Path
    http_port: int = 0
    prices_file: Path = Path()


def load_settings() -> PlainSettings:
    names = {name: f"WARREN_{name.upper()}" for name in PlainSettings.__struct_fields__}
    values = {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
    return msgspec.convert(values, PlainSettings, strict=False, dec_hook=lambda kind, value: kind(value))


class PlainService:
    """`user` is the broker user of the process; without an `exchange` it publishes no events."""

    def __init__(self, name: str, *, user: str, exchange: str | None = "order.exchange") -> None:
        self.name = name
        self.settings = load_settings()
        self._user = user
        self._exchange = exchange
        table = name.replace("-", "_")
        self._insert_inbox = f"INSERT INTO {table}_inbox (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true"  # noqa: S608
        self._insert_outbox = f"INSERT INTO {table}_outbox (id, routing_key, subject, body) VALUES ($1, $2, $3, $4)"  # noqa: S608
        self._outbox = f"{table}_outbox"
        self._connections: list[AbstractConnection] = []
        self.pool: Pool

    async def run(self, handlers: Mapping[str, Handler], server: Callable[[], Awaitable[None]] | None = None) -> None:
        """Run until SIGTERM; with a `server`, until that ends."""
        address = self.settings
        self.pool = await asyncpg.create_pool(
            address.database_url,
            password=address.database_password_file.read_text().strip(),
            ssl=ssl.create_default_context(cafile=address.database_ca_file),
            max_size=POOL_SIZE,
        )
        tasks: list[asyncio.Task[Any]] = []
        if self._exchange is not None:
            relay = PlainRelay(self.pool, self._outbox, await self._connect(), self._exchange, self._user)
            tasks.append(asyncio.create_task(relay.run()))
        if handlers:
            await self._consume(handlers)
        tasks.append(asyncio.ensure_future(server() if server is not None else _until_terminated()))
        done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        for connection in self._connections:
            await connection.close()
        await self.pool.close()
        for task in done:
            task.result()

    async def publish(self, connection: Connection, data: EventData, subject: UUID, cause: AnyEvent | None) -> None:
        event = outbox.new_event(self._user, data, subject, cause)
        await connection.execute(self._insert_outbox, event.id, event.type, event.subject, outbox.encode(event))

    async def _consume(self, handlers: Mapping[str, Handler]) -> None:
        channel = await (await self._connect()).channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        self._queue = await channel.get_queue(f"{self._user}.queue", ensure=False)

        async def on_message(message: AbstractIncomingMessage) -> None:
            try:
                await self._process(outbox.decode(message.body), handlers)
            except Exception:
                await message.reject(requeue=True)
                raise
            await message.ack()

        await self._queue.consume(on_message)

    async def _process(self, event: AnyEvent, handlers: Mapping[str, Handler]) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(self._insert_inbox, event.logicalid):
                return
            handler = handlers.get(event.type) or handlers["*"]
            for data in await handler(event, connection):
                await self.publish(connection, data, event.subject, event)

    async def _connect(self) -> AbstractConnection:
        address = self.settings
        name, password = ((address.broker_credentials / part).read_text().strip() for part in ("username", "password"))
        parts = urlsplit(address.broker_url)
        url = f"{parts.scheme}://{quote(name)}:{quote(password)}@{parts.netloc}{parts.path}"
        tls = ssl.create_default_context(cafile=address.broker_ca_file)
        self._connections.append(await aio_pika.connect_robust(url, ssl_context=tls))
        return self._connections[-1]


async def _until_terminated() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
