"""A queue gets other arguments, and every message is kept."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq.abc import DeliveredMessage

import broker_topology
from broker_topology.broker import ownership
from broker_topology.broker.management_api import path
from broker_topology.migration.migrator import Migrator
from broker_topology.migration.state import PREFIX
from broker_topology.planning.result import Status
from broker_topology.planning.state import ObjectKind
from tests.integration.topology.migrated_queue import SETTLE_SECONDS, Killed, LiveTraffic, MigratedQueue, drain
from tests.messaging_env import eventually

OLD = {"deliveryLimit": 50, "retry": {"minSeconds": 2, "maxSeconds": 2}}
NEW = {"deliveryLimit": 60, "retry": {"minSeconds": 1, "maxSeconds": 2}}


pytestmark = pytest.mark.usefixtures("quick_counts")


@pytest.fixture
async def migrated(broker, api):
    migrated = MigratedQueue(broker, api)
    yield migrated
    await ownership.remove(api, migrated.owner)


async def declared(migrated, queue: dict[str, Any] = OLD) -> MigratedQueue:
    await broker_topology.apply(migrated.topology(queue), migrated.api, migrated.broker.secrets)
    return migrated


def bodies(messages: list[DeliveredMessage]) -> list[str]:
    return [message.body.decode() for message in messages]


async def migrate_under_traffic(migrated, old: dict[str, Any], new: dict[str, Any]):
    await declared(migrated, old)
    routes = await migrated.routes()
    traffic = LiveTraffic(migrated)
    await traffic.publish(300)
    async with traffic.running():
        await migrated.finish(migrated.topology(new))
    assert traffic.sent > 350  # traffic continued during the migration
    assert set(traffic.received) == set(range(traffic.sent))
    assert await migrated.routes() == routes
    assert await migrated.leftovers() == []
    arguments = await migrated.arguments()
    assert arguments["x-queue-type"] == new.get("type", "quorum")
    assert not (await migrated.context(migrated.topology(new))).plan


async def test_no_message_is_lost_while_clients_publish_and_consume(migrated):
    await migrate_under_traffic(migrated, OLD, NEW | {"singleActiveConsumer": True})


@pytest.mark.long
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (OLD | {"singleActiveConsumer": True}, NEW),
        (OLD, {"type": "classic", "maxLength": 10_000}),
        ({"type": "classic"}, NEW),
    ],
    ids=["one consumer to many", "quorum to classic", "classic to quorum"],
)
async def test_no_message_is_lost_between_queue_types(migrated, old: dict[str, Any], new: dict[str, Any]):
    await migrate_under_traffic(migrated, old, new)


async def test_a_message_keeps_its_properties(migrated, broker):
    await declared(migrated)
    sender, password = broker.user_name("sender"), "p"
    await migrated.api.put(path("users", sender), {"password": password, "tags": ""})
    await migrated.api.put(path("permissions", migrated.vhost, sender), {"configure": "", "write": ".*", "read": ""})
    properties_sent = {
        "user_id": sender,
        "headers": {"traceparent": "00-1-2-01", "CC": ["nowhere"]},
        "priority": 9,
        "correlation_id": "c",
        "reply_to": "r",
        "expiration": "600000",
        "message_type": "order.created",
        "timestamp": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "app_id": "order",
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }
    async with broker.channel(sender, password) as channel:
        await migrated.publish(channel, "kept", "a.key", **properties_sent)
    await migrated.finish(migrated.topology(NEW))
    async with migrated.channel() as channel:
        [message] = await drain(channel, migrated.name)
    assert (message.body, message.routing_key) == (b"kept", "a.key")
    properties = message.header.properties
    assert properties.delivery_mode == 2
    for name, value in properties_sent.items():
        found = getattr(properties, name)
        assert (found.replace(tzinfo=UTC) if name == "timestamp" else found) == value, name


async def test_older_messages_come_before_newer_ones(migrated):
    await declared(migrated)
    topology, migrator, number = migrated.topology(NEW), migrated.migrator(), 100
    async with migrated.channel() as channel:
        for each in range(number):
            await migrated.publish(channel, str(each))
        while await migrated.step(migrator, topology):
            await migrated.publish(channel, str(number))
            number += 1
            await asyncio.sleep(0.1)
        assert bodies(await drain(channel, migrated.name)) == [str(each) for each in range(number)]


async def test_the_migration_waits_for_retries_and_unacknowledged_messages(migrated):
    await declared(migrated)
    topology, migrator = migrated.topology(NEW), migrated.migrator()
    async with migrated.channel() as channel, migrated.channel() as slow:
        for body in ("retried", "held", "parked"):
            await migrated.publish(channel, body)
        for settle in ("reject", None, "drop"):
            message = await slow.basic_get(migrated.name)
            if settle is not None:
                await slow.basic_reject(message.delivery_tag or 0, requeue=settle == "reject")
            else:
                held = message.delivery_tag or 0
        waited = asyncio.get_running_loop().time() + 3 * SETTLE_SECONDS
        while asyncio.get_running_loop().time() < waited:
            assert await migrated.step(migrator, topology)
            await asyncio.sleep(0.2)
        assert (await migrated.arguments())[
            "x-delivery-limit"
        ] == 50  # the old queue stays while a message is unacknowledged
        await slow.basic_nack(held, requeue=True)
        await migrated.finish(topology, migrator)
        assert Counter(bodies(await drain(channel, migrated.name))) == Counter(["retried", "held"])
        assert bodies(await drain(channel, f"{migrated.name}.lot")) == []  # its queue has no dead-letter exchange


@pytest.mark.long
async def test_a_queue_is_kept_while_a_message_waits_for_its_parking_lot(migrated):
    dead_letter = {"deadLetter": {"exchange": "lots", "routingKey": f"{migrated.name}.lot"}}
    await declared(migrated, OLD | dead_letter)
    topology, migrator = migrated.topology(NEW | dead_letter), migrated.migrator()
    binding = path("bindings", migrated.vhost, "e", "lots", "q", f"{migrated.name}.lot")
    await migrated.api.delete(f"{binding}/{migrated.name}.lot")
    async with migrated.channel() as channel:
        await migrated.publish(channel, "rejected")
        message = await channel.basic_get(migrated.name)
        await channel.basic_reject(message.delivery_tag or 0, requeue=False)
        until = asyncio.get_running_loop().time() + 3 * SETTLE_SECONDS
        while asyncio.get_running_loop().time() < until:
            held = await migrated.step(migrator, topology)
            await asyncio.sleep(0.2)
        assert "1 waiting for a retry or for their dead-letter exchange" in held[0].message
        assert (await migrated.arguments())["x-delivery-limit"] == 50


WRITES = 40
"""More writes than one migration of such a queue needs."""


async def killed_after(write: int, broker, api) -> bool:
    """Migrates a queue of its own, killed after that many writes. Returns whether the migration got that far."""
    migrated = MigratedQueue(broker, api, f"work{write}")
    traffic = LiveTraffic(migrated, pause=0.1)
    await traffic.publish(20)
    async with traffic.running():
        killed = await migrated.migrate_until_killed(write, migrated.topology(NEW))
        await migrated.finish(migrated.topology(NEW))
    assert set(traffic.received) == set(range(traffic.sent)), write
    assert await migrated.leftovers() == [], write
    assert (await migrated.arguments())["x-delivery-limit"] == 60, write
    assert len(await migrated.routes()) == 4, write
    await ownership.remove(api, migrated.owner)
    return killed


async def kill_after_each(writes: range, broker, api) -> list[bool]:
    for write in writes:
        await declared(MigratedQueue(broker, api, f"work{write}"))
    few = asyncio.Semaphore(4)

    async def one(write: int) -> bool:
        async with few:
            return await killed_after(write, broker, api)

    return await asyncio.gather(*map(one, writes))


async def test_a_migration_that_is_killed_after_some_writes_completes(broker, api):
    assert all(await kill_after_each(range(4, 30, 4), broker, api))


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_a_migration_that_is_killed_after_any_write_completes(broker, api):
    killed = await kill_after_each(range(1, WRITES), broker, api)
    assert killed[0] and not killed[-1]  # every write was the last one once


async def test_another_process_waits_for_the_lease(migrated):
    await declared(migrated)
    topology = migrated.topology(NEW)

    def die(_: object) -> None:
        raise Killed

    with pytest.raises(Killed):
        await migrated.step(migrated.migrator(die), topology)
    held = await migrated.step(migrated.migrator(number=8), topology)
    assert held[0].message == "another process is migrating this queue at the moment"
    await migrated.finish(topology)


async def test_reverting_a_change_returns_every_message(migrated):
    await declared(migrated)
    routes, migrator = await migrated.routes(), migrated.migrator()
    async with migrated.channel() as channel:
        for each in range(20):
            await migrated.publish(channel, str(each))
        for _ in range(4):
            await migrated.step(migrator, migrated.topology(NEW))
            await migrated.publish(channel, "20")
        await migrated.finish(migrated.topology(OLD), migrator)
        assert set(bodies(await drain(channel, migrated.name))) == {str(each) for each in range(21)}
    assert (await migrated.arguments())["x-delivery-limit"] == 50
    assert await migrated.routes() == routes
    assert await migrated.leftovers() == []


@pytest.mark.long
async def test_a_second_change_during_the_return_moves_every_message_again(migrated):
    await declared(migrated)
    again = NEW | {"deliveryLimit": 70}
    async with migrated.channel() as channel:
        for each in range(20):
            await migrated.publish(channel, str(each))
        migrator = migrated.migrator()
        while (await migrated.arguments())["x-delivery-limit"] == 50:
            assert await migrated.step(migrator, migrated.topology(NEW))
            await asyncio.sleep(0.2)
        await migrated.finish(migrated.topology(again), migrator)
        assert set(bodies(await drain(channel, migrated.name))) == {str(each) for each in range(20)}
    assert (await migrated.arguments())["x-delivery-limit"] == 70
    assert await migrated.leftovers() == []


async def refusal(migrated, queue: dict[str, Any]) -> str:
    [held] = await migrated.step(migrated.migrator(), migrated.topology(queue))
    assert held.blocked
    return held.message


async def test_a_stream_is_not_migrated(migrated):
    await declared(migrated)
    message = await refusal(migrated, {"type": "stream"})
    assert message.startswith("cannot be migrated: the offsets of a stream would not survive")
    assert "x-queue-type: quorum -> stream" in message
    assert await migrated.leftovers() == []


async def test_a_policy_that_could_drop_messages_blocks_the_migration(migrated):
    await declared(migrated)
    policy = {"pattern": ".*", "apply-to": "queues", "definition": {"max-length": 5}, "priority": 0}
    await migrated.api.put(path("policies", migrated.vhost, "small"), policy)
    message = await refusal(migrated, NEW)
    assert "a policy sets max-length for the queues that would hold its messages meanwhile" in message
    assert f"names that begin with {PREFIX}work" in message
    await migrated.api.delete(path("policies", migrated.vhost, "small"))
    await migrated.finish(migrated.topology(NEW))


@pytest.mark.long
async def test_without_the_plugin_the_message_says_how_to_enable_it(migrated, servers):
    await declared(migrated)
    routes = await migrated.routes()
    plugins = ("rabbitmq_shovel_management", "rabbitmq_shovel")
    servers.broker.rabbitmqctl("disable", *plugins, tool="rabbitmq-plugins")
    try:
        message = await refusal(migrated, NEW)
    finally:
        servers.broker.rabbitmqctl("enable", *plugins, tool="rabbitmq-plugins")
    assert "run `rabbitmq-plugins enable rabbitmq_shovel` there" in message
    assert await migrated.routes() == routes  # no binding has changed

    async def begun() -> bool:
        return not (await migrated.step(migrated.migrator(), migrated.topology(NEW)))[0].blocked

    await eventually(begun, 30)  # the broker refreshes its list of plugins periodically
    await migrated.finish(migrated.topology(NEW))


SPEC = {
    "exchanges": {"events": {"type": "topic"}},
    "bindings": [{"source": "events", "queue": "work", "routingKey": "a.*"}],
}


def spec(queue: dict[str, Any]) -> dict[str, Any]:
    return SPEC | {"queues": {"work": {"argumentChange": "Migrate", **queue}}}


async def test_a_resource_is_ready_after_the_migration(broker, api):
    assert (await broker.reconcile(spec(OLD), api=api)).ready
    asked = await broker.reconcile(spec(NEW), api=api)
    [blocked] = asked.of(Status.BLOCKED)
    assert "argumentChange: Migrate moves the queue's messages into a new queue of the same name" in blocked.message
    migrator = Migrator(settle_seconds=SETTLE_SECONDS)
    outcome = await broker.reconcile(spec(NEW), api=api, migrate=migrator)
    assert {each.kind for each in outcome.of(Status.MIGRATING)} == {ObjectKind.QUEUE, ObjectKind.BINDING}
    assert not outcome.ready

    async def ready() -> bool:
        return (await broker.reconcile(spec(NEW), api=api, migrate=migrator)).ready

    await eventually(ready, 60)
    again = await broker.reconcile(spec(NEW), api=api, migrate=migrator)
    assert (again.ready, again.plan.steps, again.repaired) == (True, (), ())
    queues = await api.get(path("queues", broker.vhost) + "?columns=name")
    assert [each["name"] for each in queues] == ["work"]


async def test_a_binding_removed_during_the_migration_is_deleted(broker, api):
    await broker.reconcile(spec(OLD), api=api)
    migrator = Migrator(settle_seconds=SETTLE_SECONDS)
    unbound = spec(NEW) | {"bindings": []}

    async def away() -> bool:
        await broker.reconcile(spec(NEW), api=api, migrate=migrator)
        listed = await api.get(path("queues", broker.vhost, "work", "bindings"))
        return not any(each["source"] == "events" for each in listed)

    await eventually(away, 60)

    async def ready() -> bool:
        return (await broker.reconcile(unbound, api=api, migrate=migrator)).ready

    await eventually(ready, 60)
    listed = await api.get(path("queues", broker.vhost, "work", "bindings"))
    assert [each["source"] for each in listed] == [""]


async def test_a_resource_is_finalized_after_its_messages_returned(broker, api):
    await broker.reconcile(spec(OLD), api=api)
    migrator = Migrator(settle_seconds=SETTLE_SECONDS)
    await broker.reconcile(spec(NEW), api=api, migrate=migrator)
    outcome = await broker.finalize(spec(NEW), api=api)
    assert outcome.failures == (
        ("migration", "the messages of a queue are being moved; the process that began that has to complete it first"),
    )

    async def released() -> bool:
        return not (await broker.finalize(spec(NEW), api=api, migrate=migrator)).failures

    await eventually(released, 60)
    assert broker.vhost not in [each["name"] for each in await api.get(path("vhosts") + "?columns=name")]
    assert broker.owner() not in await ownership.records(api)
