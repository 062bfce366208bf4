"""The queue of a service is migrated while the service publishes and consumes."""

import asyncio
import uuid
from collections.abc import Iterable
from typing import Any

import pytest
import yaml

import broker_topology
from broker_topology import LoadedTopology, ManagementApi, SecretDirectory
from broker_topology.broker.ownership import remove
from broker_topology.migration.migrator import SETTLE_SECONDS, Migrator
from services.shared.contracts import Event
from services.shared.contracts.orders import OrderConfirmed
from tests.integration.topology import migrated_queue
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import codec
from warren_messaging.errors import TransientError
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.testing import event_of
from warren_messaging.transaction import Transaction


@pytest.fixture
async def env(servers, tmp_path):
    env = MessagingEnv(servers, tmp_path)
    await env.set_up()
    await env.sql("CREATE TABLE seen (id uuid)")
    yield env
    await env.tear_down()


def resource(env) -> LoadedTopology:
    """Returns the env's queue with another delivery limit, and dead-lettered at least once."""
    dead_letter = {"exchange": "orders.dlx", "routingKey": "probe.dlq"}
    document: dict[str, Any] = {
        "apiVersion": "warren.dev/v1alpha1",
        "kind": "Topology",
        "metadata": {"name": "probe"},
        "spec": {
            "vhost": env.vhost,
            "exchanges": {"order.exchange": {"type": "topic"}, "orders.dlx": {"type": "direct"}},
            "queues": {
                "probe.queue": {
                    "argumentChange": "Migrate",
                    "deliveryLimit": 200,
                    "retry": {"minSeconds": 0.1, "maxSeconds": 2},
                    "deadLetter": dead_letter,
                },
                "probe.dlq": {"deliveryLimit": -1},
            },
            "bindings": [
                {"source": "order.exchange", "queue": "probe.queue", "routingKey": "order.*"},
                {"source": "orders.dlx", "queue": "probe.dlq", "routingKey": "probe.dlq"},
            ],
        },
    }
    return broker_topology.parse(yaml.safe_dump(document), "test")[0]


class WorkingService:
    """A service that handles messages slowly, fails sometimes, and publishes all the time."""

    def __init__(self, env: MessagingEnv) -> None:
        self.env = env
        self.sent: list[uuid.UUID] = []
        self.failed: set[uuid.UUID] = set()
        self.pause = 0.01
        self.closing = False

    async def on_confirmed(self, event: Event[OrderConfirmed], uow: Transaction) -> Iterable[OrderConfirmed]:
        await asyncio.sleep(self.pause)
        if event.subject.int % 100 == 0 and event.subject not in self.failed:
            self.failed.add(event.subject)
            raise TransientError("the first attempt for every hundredth order")
        await uow.connection.execute("INSERT INTO seen VALUES ($1)", event.subject)
        return []

    async def publish(self, outbox: Outbox) -> None:
        while not self.closing:
            subject = uuid.uuid4()
            async with outbox.transaction(Transaction) as uow:
                uow.announce(OrderConfirmed(customer="gayal"), subject=subject)
            self.sent.append(subject)
            await asyncio.sleep(0.02)

    async def fill(self, count: int) -> None:
        events = [event_of(OrderConfirmed(customer="gayal"), subject=uuid.uuid4()) for _ in range(count)]
        await self.env.send(*map(codec.encode, events))
        self.sent += [event.subject for event in events]

    async def missing(self) -> int:
        """Returns the number of published messages that were not handled."""
        return len(set(self.sent) - {row["id"] for row in await self.env.sql("SELECT id FROM seen")})


async def migrate_under_load(env, count: int, settle_seconds: float):
    endpoints, working = env.servers.broker.endpoints, WorkingService(env)
    await working.fill(count)
    async with (
        ManagementApi(
            endpoints.management_url, endpoints.admin_username, endpoints.admin_password, ca_file=endpoints.ca_file
        ) as api,
        env.outbox() as outbox,
        env.consumer({OrderConfirmed: working.on_confirmed}),
    ):
        publishing = asyncio.create_task(working.publish(outbox))
        options = {"owner": f"live-{env.vhost}", "api": api, "secrets": SecretDirectory(env.folder)}
        migrator = Migrator(settle_seconds=settle_seconds)

        async def ready() -> bool:
            await asyncio.sleep(0.5)
            return (await broker_topology.reconcile([resource(env)], migrate=migrator, **options)).ready

        await eventually(ready, 400)
        working.closing, working.pause = True, 0.0
        await publishing
        missing = await working.missing()
        while missing:  # the number must decrease
            await asyncio.sleep(5)
            before, missing = missing, await working.missing()
            assert missing < before, f"{missing} of {len(working.sent)} messages are missing"
        await remove(api, options["owner"])
    assert len(working.sent) > count
    assert working.failed  # some messages were retried
    assert await env.depth("probe.dlq") == 0
    assert {outcome.name for _, outcome in env.telemetry.publish_results} == {"CONFIRMED"}


@pytest.mark.usefixtures("quick_counts")
async def test_a_service_keeps_working_while_its_queue_is_migrated(env):
    await migrate_under_load(env, 500, migrated_queue.SETTLE_SECONDS)


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_ten_thousand_messages_are_moved_under_load(env):
    await migrate_under_load(env, 10_000, SETTLE_SECONDS)
