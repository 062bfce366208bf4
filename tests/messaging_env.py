"""The environment of messaging tests: a vhost with a queue and its parking lot, users, and a database."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
from aiormq import spec

from devtools.servers.servers import Servers
from services.shared.chassis.migrations import ServiceSchema, prepare_database
from services.shared.contracts import CATALOGUE, AnyEvent, EventData
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.amqp.frames import driver
from warren_messaging.amqp.pipeline import PublishFrame, PublishResult, send
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.amqp.publisher import Publisher
from warren_messaging.amqp.received import Received, consume
from warren_messaging.codec import Codec
from warren_messaging.consumer.consumer import Consumer, ConsumerSettings
from warren_messaging.consumer.processor import Processor
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.relay import Relay, RelaySettings
from warren_messaging.outbox.schedule import DueMessageMover
from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.sender import REDRIVE_EXCHANGE
from warren_messaging.settings import ServiceSettings
from warren_messaging.testing import delivery_of
from warren_messaging.testing.recording_telemetry import RecordingTelemetry
from warren_messaging.transaction import Transaction

QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 100,
    "x-delayed-retry-type": "failed",
    "x-delayed-retry-min": 100,
    "x-delayed-retry-max": 2000,
}


class MessagingEnv:
    """A new vhost and a new database for a service named `probe`, whose table `recorded` belongs to the tests."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self.servers = servers
        self.folder = folder
        self.vhost = f"test-{secrets.token_hex(4)}"
        self.database_name = f"test_{secrets.token_hex(4)}"
        self.telemetry = RecordingTelemetry()
        self.broker_url = ""
        self.broker_port = servers.broker.endpoints.amqps_port
        self.database_port = servers.postgres.endpoint.port

    async def __aenter__(self) -> Self:
        await self.set_up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.tear_down()

    async def set_up(self) -> None:
        broker, postgres = self.servers.broker.endpoints, self.servers.postgres.endpoint
        self.broker_url = f"amqps://{broker.host}:{self.broker_port}/{self.vhost}"
        async with self.management_api() as api:
            await self._put(api, f"vhosts/{self.vhost}", {})
            await self._put(api, f"permissions/{self.vhost}/{broker.admin_username}", _permissions(".*", ".*", ".*"))
        await self.add_user("probe", write="^order.exchange$", read="^probe.queue$")
        await self.add_user("impersonator", write=".*", read="^$", tags="impersonator")
        async with self.channel() as channel:
            await channel.exchange_declare("order.exchange", exchange_type="topic", durable=True)
            await channel.exchange_declare("orders.dlx", exchange_type="direct", durable=True)
            await channel.queue_declare(
                "probe.queue",
                durable=True,
                arguments=QUEUE_ARGUMENTS
                | {"x-dead-letter-exchange": "orders.dlx", "x-dead-letter-routing-key": "probe.dlq"},
            )
            await channel.queue_declare(
                "probe.dlq", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": -1}
            )
            await channel.queue_bind("probe.dlq", "orders.dlx", "probe.dlq")
            await channel.queue_bind("probe.queue", "order.exchange", "order.*")
        secret = self.folder / "probe-postgres" / "password"
        secret.parent.mkdir(parents=True, exist_ok=True)
        # Roles belong to the whole server, so all tests use one password.
        secret.write_text("probe-password")
        url, schemas = postgres.url(self.database_name), [ServiceSchema("probe")]
        await prepare_database(url, postgres.admin_password, postgres.ca_file, self.folder, schemas)
        await self.sql("CREATE TABLE recorded (id uuid)")

    async def tear_down(self) -> None:
        async with self.management_api() as api:
            await api.delete(f"vhosts/{self.vhost}")
        await self.servers.postgres.endpoint.drop(self.database_name)

    # The broker

    @asynccontextmanager
    async def management_api(self) -> AsyncIterator[httpx.AsyncClient]:
        broker = self.servers.broker.endpoints
        async with httpx.AsyncClient(
            base_url=f"{broker.management_url}/api/",
            auth=broker.login,
            verify=ssl.create_default_context(cafile=broker.ca_file),
            timeout=20,
        ) as client:
            yield client

    @staticmethod
    async def _put(api: httpx.AsyncClient, path: str, body: object) -> None:
        (await api.put(path, json=body)).raise_for_status()

    async def add_user(self, name: str, *, write: str, read: str, tags: str = "") -> None:
        folder = self.folder / f"{name}-rabbitmq"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "username").write_text(name)
        (folder / "password").write_text("probe-password")
        async with self.management_api() as api:
            await self._put(api, f"users/{name}", {"password": "probe-password", "tags": tags})
            await self._put(api, f"permissions/{self.vhost}/{name}", _permissions("^$", write, read))

    def broker_address(self, user: str = "probe") -> BrokerAddress:
        return BrokerAddress(self.broker_url, self.folder / f"{user}-rabbitmq", self.servers.broker.endpoints.ca_file)

    def channel(self) -> AbstractAsyncContextManager[Any]:
        """Open a channel of the administrator in the vhost."""
        return self.servers.broker.endpoints.channel(self.vhost)

    async def send(self, *bodies: bytes, queue: str = "probe.queue", **fields: Any) -> None:
        """Publish bodies to a queue, each as the service that it names as its source.

        `fields` are attributes of `delivery_of`, for example another `user_id` or `routing_key`, and AMQP properties.
        """
        broker, exchange = self.servers.broker.endpoints, f"to.{queue}"
        async with self.channel() as channel:
            await channel.exchange_declare(exchange, exchange_type="fanout", durable=True)
            await channel.queue_bind(queue, exchange)
        # Only this user may set another user's name.
        async with broker.channel(self.vhost, "impersonator", "probe-password") as channel:
            attributes = {name: fields.pop(name) for name in ("user_id", "routing_key") if name in fields}
            for body in bodies:
                delivery = delivery_of(body, **attributes)
                properties = spec.Basic.Properties(**({"delivery_mode": 2, "user_id": delivery.user_id} | fields))
                await channel.basic_publish(
                    body, exchange=exchange, routing_key=delivery.routing_key, properties=properties
                )

    async def drain(self, queue: str) -> list[Any]:
        """Remove and return every ready message."""
        found = []
        async with self.channel() as channel:
            while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
                found.append(message)
        return found

    async def send_raw(self, *messages: tuple[bytes, RawProperties], queue: str = "probe.queue") -> None:
        """Publish bodies with any bytes as properties, through the exchange whose messages need no sender."""
        async with self.channel() as channel:
            await channel.exchange_declare(REDRIVE_EXCHANGE, exchange_type="direct", durable=True)
            await channel.queue_bind(queue, REDRIVE_EXCHANGE, queue)
            for body, properties in messages:
                batch = await send(channel, [PublishFrame.of(REDRIVE_EXCHANGE, queue, body, properties)])
                await batch.finished
                assert batch.results == [PublishResult.CONFIRMED]

    async def separate_announcements(self) -> None:
        """Route what the service announces to announced.queue alone, so that it does not come back to probe.queue."""
        async with self.channel() as channel:
            await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
            await channel.queue_declare("announced.queue", durable=True, arguments={"x-queue-type": "quorum"})
            await channel.queue_bind("announced.queue", "order.exchange", "#")

    async def receive(self, queue: str, count: int) -> list[Received]:
        """Consume the first messages of a queue, with their properties as bytes."""
        found: list[Received] = []
        broker = self.servers.broker.endpoints
        connection = driver(broker.amqps_url(vhost=self.vhost), ssl.create_default_context(cafile=broker.ca_file))
        await connection.connect()
        try:
            channel: Any = await connection.channel()
            await channel.basic_qos(prefetch_count=count)
            await consume(channel, queue, found.append, tag="taking")
            await eventually(lambda: len(found) >= count)
            for message in found:
                await channel.basic_ack(message.tag)
        finally:
            await connection.close()
        return found

    async def depth(self, queue: str) -> int:
        """The number of ready messages."""
        async with self.channel() as channel:
            return int((await channel.queue_declare(queue, passive=True)).message_count or 0)

    # The database

    def database_address(self) -> DatabaseAddress:
        postgres = self.servers.postgres.endpoint
        url = f"postgresql://probe@{postgres.host}:{self.database_port}/{self.database_name}"
        return DatabaseAddress(url, self.folder / "probe-postgres" / "password", postgres.ca_file)

    def settings(self, **options: Any) -> ServiceSettings:
        broker, database = self.broker_address(), self.database_address()
        return ServiceSettings(
            broker_url=broker.url,
            broker_credentials=broker.credentials,
            broker_ca_file=broker.ca_file,
            database_url=database.url,
            database_password_file=database.password_file,
            database_ca_file=database.ca_file,
            **options,
        )

    def database(self, **options: Any) -> Database:
        return Database(self.database_address(), **options)

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        """Run a statement as the owner, in the schema of the service."""
        async with self.servers.postgres.endpoint.connection(self.database_name, schema="probe") as connection:
            return list(await connection.fetch(statement, *arguments))

    async def recorded(self) -> list[UUID]:
        """The logical ids that the handler `record` stored."""
        return [row["id"] for row in await self.sql("TABLE recorded")]

    async def wait_for_recorded(self, count: int, seconds: float = 20.0) -> None:
        """Wait until this number of different events is recorded."""

        async def enough() -> bool:
            return len(set(await self.recorded())) >= count

        await eventually(enough, seconds, f"{count} events are not recorded in time")

    async def outbox_count(self) -> int:
        return int((await self.sql("SELECT count(*) FROM outbox"))[0][0])

    async def due_count(self) -> int:
        return int((await self.sql("SELECT count(*) FROM scheduled WHERE due_at <= now()"))[0][0])

    async def unpublished_count(self) -> int:
        """The number of events in the outbox and of due messages, at one moment: one may move to the other."""
        rows = await self.sql(
            "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM scheduled WHERE due_at <= now())"
        )
        return int(rows[0][0])

    async def wait_for_scheduled(self, count: int) -> None:
        """Wait until this number of messages is scheduled."""

        async def reached() -> bool:
            return int((await self.sql("SELECT count(*) FROM scheduled"))[0][0]) == count

        await eventually(reached, what=f"{count} messages are not scheduled in time")

    async def advance(self, seconds: float) -> None:
        """Let this time pass for scheduled messages."""
        await self.sql("UPDATE scheduled SET due_at = due_at - make_interval(secs => $1)", seconds)

    async def wait_for_outbox(self, count: int = 0, seconds: float = 20.0) -> None:
        """Wait until the outbox has this number of events."""

        async def reached() -> bool:
            return await self.outbox_count() == count

        await eventually(reached, seconds, f"the outbox does not reach {count} events in time")

    # The library

    @asynccontextmanager
    async def outbox(self, settings: RelaySettings | None = None, name: str = "probe") -> AsyncIterator[Outbox]:
        """An outbox with a running relay."""
        database = self.database()
        await database.open()
        relay = Relay(database, Publisher(self.broker_address(name), name), self.telemetry, settings or FAST_RELAY)
        running = asyncio.create_task(relay.run())
        try:
            outbox = Outbox(database, relay, source=f"/warren/{name}", exchange="order.exchange")
            outbox.relay = relay  # type: ignore[attr-defined]
            yield outbox
        finally:
            await relay.stop(2)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await database.close()

    @asynccontextmanager
    async def due_message_mover(self) -> AsyncIterator[Outbox]:
        """An outbox whose due messages are moved and published."""
        async with self.outbox() as outbox:
            moving = asyncio.create_task(DueMessageMover(outbox, self.telemetry, seconds=0.1).run())
            try:
                yield outbox
            finally:
                moving.cancel()
                await asyncio.gather(moving, return_exceptions=True)

    @asynccontextmanager
    async def consumer(
        self,
        handlers: Any,
        *,
        transaction: Any = Transaction,
        attempts: int = 3,
        tolerant: bool = False,
        queue: str = "probe.queue",
        prefetch: int = 200,
    ) -> AsyncIterator[Consumer]:
        """A consumer with a subscription."""
        async with self.outbox() as outbox:
            database = self.database()
            await database.open()
            processor = Processor(
                consumer="probe",
                handlers=handlers,
                transaction=transaction,
                codec=Codec(CATALOGUE, tolerant=tolerant),
                database=database,
                outbox=outbox,
                telemetry=self.telemetry,
                retry=RetryPolicy(attempts=attempts),
            )
            settings = ConsumerSettings(queue=queue, prefetch=prefetch)
            consumer = Consumer(self.broker_address(), database, processor, settings, self.telemetry)
            running = asyncio.create_task(consumer.run())
            try:
                await eventually(lambda: consumer.consuming or running.done())
                if running.done():
                    await running
                yield consumer
            finally:
                consumer.stop()
                async with asyncio.timeout(10):
                    await asyncio.gather(running, return_exceptions=True)
                await database.close()


FAST_RELAY = RelaySettings(lease_seconds=2.0, takeover_seconds=0.2)


async def record(event: AnyEvent, uow: Transaction) -> Iterable[EventData]:
    """A handler that stores the logical id of the event in the table `recorded`."""
    await uow.connection.execute("INSERT INTO recorded VALUES ($1)", event.logicalid)
    return ()


async def announce(outbox: Outbox, *data: EventData, **fields: Any) -> None:
    """Announce events in one transaction, each about a new subject unless `fields` has one."""
    async with outbox.transaction(Transaction) as uow:
        for each in data:
            uow.announce(each, **({"subject": uuid4()} | fields))


async def eventually(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 20.0, what: str = ""
) -> None:
    """Wait until a condition holds; fail with the text `what` after `seconds`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        holds = condition()
        if not isinstance(holds, bool):
            holds = await holds
        if holds:
            return
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(what or f"the condition does not hold within {seconds} s")
        await asyncio.sleep(0.03)


def _permissions(configure: str, write: str, read: str) -> dict[str, str]:
    return {"configure": configure, "write": write, "read": read}
