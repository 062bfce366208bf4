"""A queue that is migrated, and the traffic through it."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiormq
from aiormq import spec
from aiormq.abc import AbstractChannel, DeliveredMessage

from broker_topology import LoadedTopology, ManagementApi
from broker_topology.broker import ownership
from broker_topology.broker.management_api import path
from broker_topology.broker.observe import observe
from broker_topology.errors import BrokerUnreachable
from broker_topology.migration.context import HeldObject, MigrationContext
from broker_topology.migration.migrator import Migrator
from broker_topology.migration.state import PREFIX
from broker_topology.migration.steps import ApiRequest
from broker_topology.planning.desired import desired_state
from broker_topology.planning.plan import plan
from broker_topology.planning.state import Key
from tests.messaging_env import eventually

SETTLE_SECONDS = 2.5
"""Long enough with the fixture `quick_counts`: the broker counts twice a second."""


class Killed(BaseException):
    """The process is killed here: nothing is cleaned up."""


class MigratedQueue:
    """The queue `name` in the test's virtual host, bound to `<name>.events` and others."""

    def __init__(self, broker: Any, api: ManagementApi, name: str = "work") -> None:
        self.broker, self.api, self.name = broker, api, name
        self.owner = f"{name}-{broker.suffix}"
        self.number = 7
        self.vhost: str = broker.vhost

    def topology(self, queue: Mapping[str, Any], bindings: Sequence[str] = ("a.*", "b/ %#")) -> list[LoadedTopology]:
        name, lot, events = self.name, f"{self.name}.lot", f"{self.name}.events"
        return self.broker.topology({
            "exchanges": {
                events: {"type": "topic"}, "lots": {"type": "direct"}, "redrive": {"type": "direct"},
                "by-header": {"type": "headers"},
            },
            "queues": {name: {"argumentChange": "Migrate", **queue}, lot: {"deliveryLimit": -1}},
            "bindings": [
                *({"source": events, "queue": name, "routingKey": each} for each in bindings),
                {"source": "by-header", "queue": name, "arguments": {"x-match": "all", "tier": "gold"}},
                {"source": "redrive", "queue": name, "routingKey": name},
                {"source": "lots", "queue": lot, "routingKey": lot},
            ],
        })  # fmt: skip

    async def context(self, topology: list[LoadedTopology]) -> MigrationContext:
        desired, observed = desired_state(topology), await observe(self.api, [self.vhost])
        record = (await ownership.records(self.api)).get(self.owner, ownership.OwnerRecord(self.owner))
        requested = frozenset({Key.of(self.name, self.vhost)})
        return MigrationContext(
            topology[0], self.owner, record, desired, observed, plan(desired, observed, {}), self.api, requested
        )

    def migrator(self, sent: Callable[[ApiRequest], None] = lambda _: None, **options: Any) -> Migrator:
        options = {"settle_seconds": SETTLE_SECONDS, "number": self.number} | options
        return Migrator(on_request=sent, **options)

    async def step(self, migrator: Migrator, topology: list[LoadedTopology]) -> Sequence[HeldObject]:
        return await migrator(await self.context(topology))

    async def finish(
        self, topology: list[LoadedTopology], migrator: Migrator | None = None, seconds: float = 100
    ) -> None:
        """Migrates until no object is held."""
        migrator = migrator or self.migrator()

        async def finished() -> bool:
            await asyncio.sleep(0.3)
            try:
                held = await self.step(migrator, topology)
            except BrokerUnreachable:  # a busy machine
                return False
            assert not held or not held[0].blocked, held[0].message
            return not held

        await eventually(finished, seconds)

    async def migrate_until_killed(self, write: int, topology: list[LoadedTopology]) -> bool:
        """Migrates until the process is killed after this many writes. Returns False if the migration ended before."""
        done = 0

        def sent(_: ApiRequest) -> None:
            nonlocal done
            done += 1
            if done == write:
                raise Killed

        try:
            await self.finish(topology, self.migrator(sent))
        except Killed:
            return True
        return False

    async def arguments(self) -> dict[str, Any]:
        return dict((await self.api.get(path("queues", self.vhost, self.name)))["arguments"])

    async def leftovers(self) -> list[str]:
        """Returns the objects and notes that a migration of this queue left at the broker."""
        left = []
        for kind in ("queues", "exchanges"):
            left += [each["name"] for each in await self.api.get(path(kind, self.vhost) + "?columns=name")]
        left += [each["name"] for each in await self.api.get(path("parameters", "shovel", self.vhost))]
        record = (await ownership.records(self.api)).get(self.owner)
        return [name for name in left if name.startswith(PREFIX + self.name)] + list(record.notes if record else ())

    async def routes(self) -> set[tuple[str, str, str]]:
        listed = await self.api.get(path("queues", self.vhost, self.name, "bindings"))
        return {(each["source"], each["routing_key"], str(each["arguments"])) for each in listed if each["source"]}

    async def publish(self, channel: AbstractChannel, body: str, routing_key: str = "a.b", **properties: Any) -> None:
        """Returns when the broker has routed the message to a queue."""
        described = spec.Basic.Properties(delivery_mode=2, message_id=str(uuid.uuid4()), **properties)
        confirmed = await channel.basic_publish(
            body.encode(),
            exchange=f"{self.name}.events",
            routing_key=routing_key,
            mandatory=True,
            properties=described,
        )
        assert isinstance(confirmed, spec.Basic.Ack)

    def channel(self) -> AbstractAsyncContextManager[AbstractChannel]:
        channel: AbstractAsyncContextManager[AbstractChannel] = self.broker.channel()
        return channel


async def drain(channel: AbstractChannel, queue: str) -> list[DeliveredMessage]:
    found = []
    while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
        found.append(message)
    return found


class LiveTraffic:
    """Publishes numbers and consumes them, until the context is left."""

    def __init__(self, migrated: MigratedQueue, pause: float = 0.02) -> None:
        self._migrated, self._pause = migrated, pause
        self.sent = 0
        self.received: Counter[int] = Counter()
        self._stopping = False

    async def publish(self, count: int) -> None:
        async with self._migrated.channel() as channel:
            for _ in range(count):
                await self._migrated.publish(channel, str(self.sent))
                self.sent += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            publishing = tasks.create_task(self._publishing())
            consuming = tasks.create_task(self._consuming())
            try:
                yield
            finally:
                self._stopping = True
                await publishing
            await eventually(lambda: set(self.received) == set(range(self.sent)), 30, "messages are missing")
            consuming.cancel()

    async def _publishing(self) -> None:
        async with self._migrated.channel() as channel:
            while not self._stopping:
                await self._migrated.publish(channel, str(self.sent))
                self.sent += 1
                await asyncio.sleep(self._pause)

    async def _consuming(self) -> None:
        while True:
            cancelled = asyncio.Event()
            try:
                async with self._migrated.channel() as channel:
                    await channel.basic_qos(prefetch_count=10)
                    channel.on_consumer_cancel_callbacks.add(lambda _, event=cancelled: event.set())

                    async def take(message: DeliveredMessage, channel: AbstractChannel = channel) -> None:
                        await asyncio.sleep(self._pause / 4)
                        self.received[int(message.body)] += 1
                        await channel.basic_ack(message.delivery_tag or 0)

                    await channel.basic_consume(self._migrated.name, take)
                    await cancelled.wait()
            except aiormq.exceptions.AMQPError:  # the queue does not exist at the moment
                await asyncio.sleep(0.05)
