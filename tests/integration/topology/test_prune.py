"""Unwanted objects are deleted, and no message with them, although the broker counts messages late."""

import asyncio

import pytest
from aiormq import spec

from broker_topology import Status
from broker_topology.broker.backlog import QUIET_SECONDS
from broker_topology.broker.management_api import path
from broker_topology.broker.ownership import OwnerRecord, records, write
from broker_topology.planning.state import Key, ObjectKind

PERSISTENT = spec.Basic.Properties(delivery_mode=2)
PARKING = {
    "exchanges": {"dlx": {"type": "direct"}},
    "queues": {"q": {"deadLetter": {"exchange": "dlx", "routingKey": "park"}}, "parking": {}},
    "bindings": [{"source": "dlx", "queue": "parking", "routingKey": "park"}],
    "policies": {"short": {"pattern": "^q$", "applyTo": "queues", "definition": {"max-length": 1000}}},
}


@pytest.fixture
async def channel(broker):
    """A channel of the administrator in the virtual host."""
    await broker.reconcile({})
    async with broker.channel() as opened:
        yield opened


async def publish(channel, queue, body=b"precious"):
    assert isinstance(
        await channel.basic_publish(body, routing_key=queue, properties=PERSISTENT, mandatory=True), spec.Basic.Ack
    )


async def wait_until_counted(api, broker, queue):
    """Waits until the broker has counted the new queue: it will count the next message late."""
    for _ in range(60):
        listed = await api.get(path("queues", broker.vhost, queue))
        if listed.get("messages") == 0:
            return
        await asyncio.sleep(0.25)
    raise AssertionError("never counted")


async def prune_until_kept(broker, api, expected):
    """Reconciles until these objects are kept: the broker also counts removed messages late."""
    for _ in range(30):
        if (kept := list(retained(await broker.reconcile({}, api=api)))) == expected:
            break
        await asyncio.sleep(0.5)
    assert kept == expected


async def names(api, broker, section="queues"):
    listed = await api.get(path(section, broker.vhost))
    return sorted(each["name"] for each in listed if each["name"] and not each["name"].startswith("amq."))


def retained(outcome):
    return {f"{each.kind.value} {each.name}": each.message for each in outcome.of(Status.RETAINED)}


@pytest.mark.parametrize("kind", ["quorum", "classic"])
async def test_a_message_that_the_broker_has_not_counted_yet_is_kept(broker, api, channel, kind):
    """Even without a quiet time."""
    await broker.reconcile({"queues": {"q": {"type": kind}}}, api=api)
    await wait_until_counted(api, broker, "q")
    await publish(channel, "q")
    outcome = await broker.reconcile({}, api=api)
    assert outcome.ready
    assert list(retained(outcome)) == ["queue q"]
    assert "holds 1 message" in retained(outcome)["queue q"] or "not empty" in retained(outcome)["queue q"]
    message = await channel.basic_get("q")
    assert message.body == b"precious"
    await channel.basic_ack(message.delivery_tag)
    await prune_until_kept(broker, api, [])
    assert await names(api, broker) == []


async def test_queues_that_cannot_be_peeked_are_counted_after_a_quiet_time(broker, api, channel):
    """Streams, unacknowledged messages and consumers show only in the broker's counts, which are seconds old."""
    await broker.reconcile({"queues": {"stream": {"type": "stream"}, "held": {}, "consumed": {}}}, api=api)
    for queue in ("stream", "held", "consumed"):
        await wait_until_counted(api, broker, queue)
    await publish(channel, "stream")
    await publish(channel, "held")
    message = await channel.basic_get("held")
    await channel.basic_consume("consumed", lambda _message: None)
    outcome = await broker.reconcile({}, api=api, quiet_seconds=QUIET_SECONDS)
    assert retained(outcome) == {
        "queue stream": "holds 1 message",
        "queue held": "holds 1 message",
        "queue consumed": "has 1 consumer",
    }
    assert await names(api, broker) == ["consumed", "held", "stream"]
    await channel.basic_reject(message.delivery_tag, requeue=True)
    assert (await channel.basic_get("held", no_ack=True)).body == b"precious"


async def test_the_dead_letter_path_of_a_kept_queue_is_kept(broker, api, channel):
    await broker.reconcile(PARKING, api=api)
    await publish(channel, "q")
    outcome = await broker.reconcile({}, api=api)
    assert retained(outcome) == {
        "queue q": "holds 1 message",
        "exchange dlx": "queue q dead-letters to it",
        "binding dlx --park--> parking": "exchange dlx needs it",
        "queue parking": "a binding from exchange dlx to it stays",
        "policy short": "it applies to queue q, which stays",
    }
    message = await channel.basic_get("q")
    await channel.basic_reject(message.delivery_tag, requeue=False)
    await prune_until_kept(broker, api, ["queue parking"])
    assert (await channel.basic_get("parking", no_ack=True)).body == b"precious"
    await prune_until_kept(broker, api, [])
    assert (await names(api, broker), await names(api, broker, "exchanges")) == ([], [])


async def test_objects_that_others_bound_or_refer_to_are_kept(broker, api, channel):
    made = {
        "exchanges": {"bound": {"type": "fanout"}, "alternate": {"type": "fanout"}, "free": {"type": "fanout"}},
        "queues": {"taken": {}, "caught": {}},
        "bindings": [{"source": "alternate", "queue": "caught"}],
    }
    await broker.reconcile(made, api=api)
    await channel.queue_declare("foreign", durable=True, arguments={"x-queue-type": "quorum"})
    await channel.exchange_declare(
        "foreign", exchange_type="topic", durable=True, arguments={"alternate-exchange": "alternate"}
    )
    await channel.queue_bind("foreign", "bound", "k")
    await channel.queue_bind("taken", "foreign", "k")
    outcome = await broker.reconcile({}, api=api)
    assert retained(outcome) == {
        "exchange bound": "a binding from it to foreign stays",
        "exchange alternate": "exchange foreign sends it what it cannot route",
        "binding alternate --> caught": "exchange alternate needs it",
        "queue caught": "a binding from exchange alternate to it stays",
        "queue taken": "a binding from exchange foreign to it stays",
    }
    assert await names(api, broker, "exchanges") == ["alternate", "bound", "foreign"]


async def test_queues_that_dead_letter_to_each_other_are_deleted_together(broker, api, channel):
    ring = {
        "exchanges": {"dlx": {"type": "direct"}},
        "queues": {
            "q": {"deadLetter": {"exchange": "dlx", "routingKey": "later"}},
            "later": {"messageTtlSeconds": 1, "deadLetter": {"exchange": "dlx", "routingKey": "again"}},
        },
        "bindings": [
            {"source": "dlx", "queue": "later", "routingKey": "later"},
            {"source": "dlx", "queue": "q", "routingKey": "again"},
        ],
    }
    assert (await broker.reconcile(ring, api=api)).ready
    assert retained(await broker.reconcile({}, api=api)) == {}
    assert (await names(api, broker), await names(api, broker, "exchanges")) == ([], [])


async def test_a_queue_in_delete_with_messages_is_deleted_with_its_messages(broker, api, channel):
    await broker.reconcile({"queues": {"q": {}, "r": {}}}, api=api)
    await publish(channel, "q")
    await publish(channel, "r")
    outcome = await broker.reconcile({"deleteWithMessages": {"queues": ["q"]}}, api=api)
    assert list(retained(outcome)) == ["queue r"]
    assert await names(api, broker) == ["r"]


async def test_finalizing_keeps_queues_with_messages_and_their_virtual_host(broker, api, channel):
    spec = PARKING | {"queues": PARKING["queues"] | {"empty": {}}}
    await broker.reconcile(spec, api=api)
    await publish(channel, "parking")
    outcome = await broker.finalize(spec, api=api)
    assert retained(outcome) == {"queue parking": "holds 1 message", f"vhost {broker.vhost}": "it holds queue parking"}
    assert await names(api, broker) == ["parking"]
    assert broker.owner() not in await records(api)
    assert (await channel.basic_get("parking", no_ack=True)).body == b"precious"


async def test_a_virtual_host_in_delete_with_messages_is_deleted_with_its_messages(broker, api, channel):
    spec = {"queues": {"q": {}}, "deleteWithMessages": {"vhost": broker.vhost}}
    await broker.reconcile(spec, api=api)
    await publish(channel, "q")
    await channel.queue_declare("foreign", durable=True, arguments={"x-queue-type": "quorum"})
    assert retained(await broker.finalize(spec, api=api)) == {}
    assert broker.vhost not in {each["name"] for each in await api.get(path("vhosts"))}


async def test_a_virtual_host_with_a_foreign_queue_is_kept(broker, api, channel):
    await broker.reconcile({"queues": {"q": {}}}, api=api)
    await channel.queue_declare("foreign", durable=True, arguments={"x-queue-type": "quorum"})
    outcome = await broker.finalize({}, api=api)
    assert retained(outcome) == {f"vhost {broker.vhost}": "it holds queue foreign"}


async def test_the_user_of_the_connection_is_never_deleted(broker, api):
    admin = broker.endpoints.admin_username
    await api.put(path("vhosts", broker.vhost), {})
    claims = {
        (ObjectKind.USER, Key.of(admin)),
        (ObjectKind.PERMISSION, Key.of(admin, broker.vhost)),
        (ObjectKind.VHOST, Key.of(broker.vhost)),
    }
    await write(api, OwnerRecord(broker.owner(), frozenset(claims)))
    outcome = await broker.reconcile({}, api=api)
    reason = "this process connects as that user"
    assert retained(outcome) == {f"user {admin}": reason, f"permission {admin}": reason}
