"""Queues without a leader: the broker leaves one when the request that declares it is aborted."""

import asyncio
import base64
import json
import random
import ssl
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from broker_topology import ManagementApi
from broker_topology.broker import ownership
from broker_topology.broker.leaderless import members, never_had_leader
from broker_topology.broker.management_api import path
from broker_topology.migration.migrator import Migrator
from broker_topology.migration.state import MigrationNames
from broker_topology.planning.state import Key, ObjectKind
from tests.integration.topology.migrated_queue import SETTLE_SECONDS
from tests.messaging_env import eventually

QUORUM = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
PEEK = {"count": 9, "ackmode": "ack_requeue_true", "encoding": "auto"}
OTHER_QUEUES = 15
ATTEMPTS = 60


class InterruptedDeclarations:
    """Declares queues with requests that it aborts."""

    def __init__(self, broker: Any, api: ManagementApi) -> None:
        self._endpoints, self._api, self._vhost = broker.endpoints, api, broker.vhost
        self._tls = ssl.create_default_context(cafile=self._endpoints.ca_file)

    async def declare(self, name: str, seconds: float) -> None:
        endpoints = self._endpoints
        port = urlsplit(endpoints.management_url).port
        login = base64.b64encode(f"{endpoints.admin_username}:{endpoints.admin_password}".encode()).decode()
        body = json.dumps(QUORUM)
        head = (
            f"PUT {path('queues', self._vhost, name)} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self._tls)
        writer.write(f"{head}{body}".encode())
        await writer.drain()
        await asyncio.sleep(seconds)
        writer.transport.abort()

    async def until_leaderless(self, name: str) -> None:
        """Abort declarations of the queue until it has no leader. Other declarations keep the broker busy."""
        for attempt in range(ATTEMPTS):
            names = [name, *(f"other{attempt}.{number}" for number in range(OTHER_QUEUES))]
            await asyncio.gather(*(self.declare(each, random.uniform(0, 0.06)) for each in names))
            await asyncio.sleep(1.0)
            if never_had_leader(await members(self._api, Key.of(name, self._vhost))):
                return
            await self._api.delete(path("queues", self._vhost, name))
        raise AssertionError(f"{name} had a leader after each of {ATTEMPTS} aborted declarations")

    async def clear(self) -> None:
        """Delete the other queues: the broker needs too long to delete a virtual host with many leaderless queues."""
        if self._vhost not in [each["name"] for each in await self._api.get(path("vhosts") + "?columns=name")]:
            return
        listed = await self._api.get(path("queues", self._vhost) + "?columns=name")
        others = [each["name"] for each in listed if each["name"].startswith("other")]
        await asyncio.gather(*(self._api.delete(path("queues", self._vhost, each)) for each in others))


@pytest.fixture
async def interruptions(broker, api):
    await api.put(path("vhosts", broker.vhost), {})
    admin = broker.endpoints.admin_username
    await api.put(path("permissions", broker.vhost, admin), {"configure": ".*", "write": ".*", "read": ".*"})
    interruptions = InterruptedDeclarations(broker, api)
    yield interruptions
    await interruptions.clear()


async def accepts_messages(broker, queue: str):
    """Fails unless the broker confirms a message."""
    async with broker.channel() as channel, asyncio.timeout(10):
        await channel.basic_publish(b"", routing_key=queue, mandatory=True)


SPEC: dict[str, Any] = {
    "exchanges": {"events": {"type": "topic"}},
    "queues": {"work": {}},
    "bindings": [{"source": "events", "queue": "work", "routingKey": "#"}],
}


async def leave_leaderless(broker, api, interruptions, queue: str):
    """Create a leaderless queue and its owner's record, as a reconcile leaves them when it is killed."""
    await interruptions.until_leaderless(queue)
    record = (await ownership.records(api)).get(broker.owner(), ownership.OwnerRecord(broker.owner()))
    leaderless, vhost = Key.of(queue, broker.vhost), Key.of(broker.vhost)
    claims = record.claims | {(ObjectKind.QUEUE, leaderless), (ObjectKind.VHOST, vhost)}
    notes = ownership.with_declaring_note(record.notes, [leaderless])
    await ownership.write(
        api, replace(record, notes=notes, created_vhosts=record.created_vhosts | {broker.vhost}, claims=claims)
    )


async def test_a_leaderless_queue_is_declared_again_with_its_bindings(broker, api, interruptions):
    await leave_leaderless(broker, api, interruptions, "work")
    await api.put(path("exchanges", broker.vhost, "events"), {"type": "topic", "durable": True})
    await api.post(path("bindings", broker.vhost, "e", "events", "q", "work"), {"routing_key": "#"})
    outcome = await broker.reconcile(SPEC, api=api)
    assert (outcome.ready, outcome.failures) == (True, ())
    changes = [str(change) for step in outcome.plan.steps for change in step.changes if step.key.name == ("work",)]
    assert changes == ["leader: none (its declaration was interrupted) -> any"]
    await accepts_messages(broker, "work")
    bindings = await api.get(path("bindings", broker.vhost, "e", "events", "q", "work"))
    assert [each["routing_key"] for each in bindings] == ["#"]
    assert (await ownership.records(api))[broker.owner()].queues_being_declared == frozenset()
    assert not (await broker.reconcile(SPEC, api=api)).plan


async def test_a_queue_with_a_leader_is_not_changed(broker, api):
    await broker.reconcile(SPEC, api=api)
    await accepts_messages(broker, "work")
    record = (await ownership.records(api))[broker.owner()]
    await ownership.write(api, replace(record, notes=ownership.with_declaring_note({}, [Key.of("work", broker.vhost)])))
    assert not (await broker.reconcile(SPEC, api=api)).plan
    messages = await api.post(path("queues", broker.vhost, "work", "get"), PEEK)
    assert len(messages) == 1


async def test_a_leaderless_queue_is_deleted_with_its_owner(broker, api, interruptions):
    await leave_leaderless(broker, api, interruptions, "work")
    outcome = await broker.finalize(SPEC, api=api)
    assert outcome.failures == ()
    assert "work" not in [each["name"] for each in await api.get(path("queues", broker.vhost) + "?columns=name")]
    assert broker.owner() not in await ownership.records(api)


async def test_a_cancelled_reconcile_interrupts_no_declaration(broker, api):
    """A cancelled reconcile waits for the responses to the requests that it has sent."""
    queues = {f"q{number}": {} for number in range(40)}
    running = asyncio.create_task(broker.reconcile({"queues": queues}, api=api))
    await eventually(lambda: api.requests["PUT"] > 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    found = [
        Key.of(each["name"], broker.vhost) for each in await api.get(path("queues", broker.vhost) + "?columns=name")
    ]
    assert len(found) > 5
    assert not any([never_had_leader(await members(api, each)) for each in found])


@pytest.mark.usefixtures("quick_counts")
async def test_an_interrupted_migration_continues(broker, api, interruptions):
    migrating = SPEC | {"queues": {"work": {"argumentChange": "Migrate", "deliveryLimit": 7}}}
    await broker.reconcile(SPEC, api=api)
    await accepts_messages(broker, "work")
    await interruptions.until_leaderless(MigrationNames("work").aside)
    migrator = Migrator(settle_seconds=SETTLE_SECONDS)

    async def ready() -> bool:
        return (await broker.reconcile(migrating, api=api, migrate=migrator)).ready

    await eventually(ready, 90)
    messages = await api.post(path("queues", broker.vhost, "work", "get"), PEEK)
    assert len(messages) == 1
