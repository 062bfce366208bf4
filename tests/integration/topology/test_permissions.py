"""With the shipped files, each user can do its work, and nothing else."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiormq
import pytest
from aiormq import spec

import broker_topology
from broker_topology.broker.management_api import path
from broker_topology.errors import AccessDenied
from services.registry import AUDITED, SERVICE_NAMES, SERVICES
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.amqp.received import Received
from warren_messaging.dead_letters.parked_message import parked

FOLDER = Path(__file__).parents[3] / "charts" / "warren" / "topology"
PERSISTENT = spec.Basic.Properties(delivery_mode=2)
REPLAYED = {
    "queue": "order.queue",
    "exchange": "redrive.exchange",
    "routing-keys": ["order.queue"],
    "reason": "rejected",
}
"""The header by which a sender could imitate a replay."""


@pytest.fixture
async def shop(broker, api):
    """The broker with all shipped files applied; `shop(user)` opens that user's channel."""
    await broker_topology.apply(broker.in_test_vhost(broker_topology.load([FOLDER])), api, broker.secrets)

    @asynccontextmanager
    async def channel(user):
        credentials = await broker.credentials(f"{user}-rabbitmq")
        async with broker.channel(credentials.username, credentials.password) as opened:
            yield opened

    return channel


def received(message):
    properties = RawProperties.of(message.header.properties)
    return Received(message.delivery_tag, False, message.exchange, message.routing_key, properties, message.body)


async def publish(channel, exchange, routing_key, body=b"{}"):
    return await channel.basic_publish(
        body, exchange=exchange, routing_key=routing_key, mandatory=True, properties=PERSISTENT
    )


async def get(shop, user, queue):
    """Consumes one message."""
    async with shop(user) as channel:
        message = await channel.basic_get(queue)
        if message.delivery_tag is not None:
            await channel.basic_ack(message.delivery_tag)
        return message.body if message.delivery_tag is not None else None


async def assert_refused(shop, user, *actions):
    """Asserts that the broker refuses each action, on a channel of its own."""
    for action in actions:
        async with shop(user) as channel:
            with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
                await action(channel)


def publishes(exchange, routing_key):
    return lambda channel: publish(channel, exchange, routing_key)


def gets(queue):
    return lambda channel: channel.basic_get(queue)


def declares(queue):
    return lambda channel: channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})


async def test_applying_the_shipped_files_twice_writes_nothing(broker, api, shop):
    api.requests.clear()
    again = await broker_topology.apply(broker.in_test_vhost(broker_topology.load([FOLDER])), api, broker.secrets)
    assert not again.plan
    assert set(api.requests) == {"GET"}


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_a_service_consumes_its_queue(shop, service):
    async with shop(service) as channel:
        await channel.queue_declare(f"{service}.queue", passive=True)
        consumer = await channel.basic_consume(f"{service}.queue", lambda _message: None)
        await channel.basic_cancel(consumer.consumer_tag)


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_a_service_declares_nothing(shop, service):
    foreign = "order.queue" if service != "order" else "audit.queue"
    await assert_refused(
        shop,
        service,
        declares("mine"),
        declares(f"{service}.queue.2"),
        lambda channel: channel.exchange_declare("mine", exchange_type="topic"),
        lambda channel: channel.queue_bind(f"{service}.queue", "order.exchange", "#"),
        lambda channel: channel.queue_delete(f"{service}.queue"),
        lambda channel: channel.queue_purge(foreign),
    )


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_a_service_reads_no_foreign_queue(shop, service):
    others = [f"{other}.queue" for other in SERVICE_NAMES if other != service]
    await assert_refused(shop, service, *map(gets, (*others, f"{service}.dlq", "unrouted.queue")))


@pytest.mark.parametrize("service", SERVICE_NAMES)
async def test_a_service_writes_to_no_foreign_exchange(shop, service):
    own = {each.name: each.publishes_to for each in SERVICES}
    exchanges = {"", "order.exchange", "workflow.exchange", "audit.fanout.exchange", "orders.dlx", "redrive.exchange"}
    foreign = (exchanges | {"notification.exchange"}) - {own.get(service)}
    await assert_refused(shop, service, *(publishes(exchange, f"{service}.queue") for exchange in foreign))


@pytest.mark.parametrize("service", AUDITED)
async def test_a_publisher_uses_only_its_own_routing_keys(shop, service):
    async with shop(service) as channel:
        assert isinstance(await publish(channel, "order.exchange", f"{service}.something"), spec.Basic.Ack)
    foreign = ("returns.announced", f"x{service}.created", *(f"{other}.x" for other in AUDITED if other != service))
    await assert_refused(shop, service, *(publishes("order.exchange", key) for key in foreign))


async def drain(shop, user, queue):
    """Returns every body in the queue, oldest first."""
    bodies = []
    async with shop(user) as channel:
        while (message := await channel.basic_get(queue, no_ack=True)).delivery_tag is not None:
            bodies.append(message.body.decode())
    return bodies


SUBSCRIBERS = {
    "order.created": {"inventory", "fraud", "notification"},
    "order.confirmed": {"notification"},
    "order.paid": {"notification"},
    "order.shipped": {"notification"},
    "order.completed": {"notification"},
    "order.cancelling": {"inventory", "payment", "shipping", "notification"},
    "order.cancelled": {"notification"},
    "order.delivery_confirmed": {"shipping", "notification"},
    "order.payment_reminder": {"notification"},
    "order.cancel_requested": {"order"},
    "inventory.reserved": {"order", "payment", "notification"},
    "inventory.out_of_stock": {"order", "notification"},
    "inventory.committed": {"order"},
    "inventory.released": {"order"},
    "payment.success": {"order", "inventory", "shipping"},
    "payment.failed": {"order"},
    "payment.voided": {"order"},
    "payment.refunded": {"order"},
    "shipping.prepared": {"order"},
    "shipping.delivered": {"order"},
    "shipping.stopped": {"order"},
    "shipping.refused": {"order"},
    "fraud.flagged": {"notification"},
}
"""The subscribers of each event in the design."""


async def test_every_event_reaches_its_subscribers_and_audit_once(shop):
    for publisher in AUDITED:
        async with shop(publisher) as channel:
            for key in SUBSCRIBERS:
                if key.startswith(f"{publisher}."):
                    await publish(channel, "order.exchange", key, key.encode())
    assert sorted(await drain(shop, "audit", "audit.queue")) == sorted(SUBSCRIBERS)
    assert await drain(shop, "dlq", "unrouted.queue") == []
    for service in ("order", "inventory", "payment", "shipping", "fraud", "notification"):
        expected = sorted(key for key, subscribers in SUBSCRIBERS.items() if service in subscribers)
        assert sorted(await drain(shop, service, f"{service}.queue")) == expected


async def test_events_in_the_name_of_another_service_are_refused_everywhere(broker, shop):
    """Each service publishes each event of the others under a routing key of its own, with and without its user id."""
    names = {each: (await broker.credentials(f"{each}-rabbitmq")).username for each in AUDITED}
    sent = 0
    for service in AUDITED:
        own = [key for key in SUBSCRIBERS if key.startswith(f"{service}.")]
        async with shop(service) as channel:
            for number, foreign in enumerate(key for key in SUBSCRIBERS if key not in own):
                for user in (None, names[service]):
                    for source in (names[service], names[foreign.partition(".")[0]]):
                        body = json.dumps({"type": foreign, "source": source}).encode()
                        properties = spec.Basic.Properties(
                            delivery_mode=2, user_id=user, headers={"x-death": [REPLAYED], "BCC": [own[0]]}
                        )
                        key = own[number % len(own)]
                        await channel.basic_publish(
                            body, exchange="order.exchange", routing_key=key, properties=properties
                        )
                        sent += 1
        for other in AUDITED:
            if other != service:
                for claim in (
                    {"user_id": names[other]},
                    {"headers": {"CC": [f"{other}.x"]}},
                    {"headers": {"BCC": [f"{other}.x"]}},
                ):
                    async with shop(service) as channel:
                        with pytest.raises(aiormq.exceptions.ChannelClosed):
                            await channel.basic_publish(
                                b"{}",
                                exchange="order.exchange",
                                routing_key=f"{service}.x",
                                properties=spec.Basic.Properties(**claim),
                            )
    accepted = []
    for service in ("order", "inventory", "payment", "shipping", "fraud", "notification", "audit"):
        async with shop(service) as channel:
            count = 0
            while (message := await channel.basic_get(f"{service}.queue")).delivery_tag is not None:
                accepted += [message.body] if parked("unrouted.queue", received(message)).forgery_reason is None else []
                await channel.basic_reject(message.delivery_tag, requeue=False)
                count += 1
        assert count == sent if service == "audit" else count > 0
        async with shop("dlq") as channel:
            while count:
                message = await channel.basic_get(f"{service}.dlq", no_ack=True)
                if message.delivery_tag is None:
                    await asyncio.sleep(0.05)
                    continue
                accepted += [message.body] if parked(f"{service}.dlq", received(message)).forgery_reason is None else []
                count -= 1
    assert accepted == []


async def test_an_unbound_event_is_audited_and_unrouted(shop):
    async with shop("order") as channel:
        await publish(channel, "order.exchange", "order.renamed", b"new")
    assert await get(shop, "dlq", "unrouted.queue") == b"new"
    assert await get(shop, "audit", "audit.queue") == b"new"


async def test_a_notification_reaches_every_channel(shop):
    async with shop("notification") as channel:
        await publish(channel, "notification.exchange", "", b"hello")
    for service in ("email", "sms"):
        assert await get(shop, service, f"{service}.queue") == b"hello"


async def test_a_rejected_message_is_parked_and_replayed_to_its_own_queue(shop):
    async with shop("order") as channel:
        await publish(channel, "order.exchange", "order.created", b"poison")
    async with shop("inventory") as channel:
        message = await channel.basic_get("inventory.queue")
        await channel.basic_reject(message.delivery_tag, requeue=False)
    body = None
    async with shop("dlq") as channel:
        for _ in range(100):
            parked = await channel.basic_get("inventory.dlq")
            if parked.delivery_tag is not None:
                body = parked.body
                await publish(channel, "redrive.exchange", "inventory.queue", body)
                await channel.basic_ack(parked.delivery_tag)
                break
            await asyncio.sleep(0.1)
    assert body == b"poison"
    assert await get(shop, "inventory", "inventory.queue") == b"poison"
    assert await get(shop, "notification", "notification.queue") == b"poison"  # the original
    assert await get(shop, "notification", "notification.queue") is None  # no duplicate


async def test_the_dlq_user_replays_and_does_nothing_else(shop):
    exchanges = ("", "order.exchange", "workflow.exchange", "orders.dlx", "notification.exchange")
    publishing = (publishes(exchange, "order.created") for exchange in exchanges)
    await assert_refused(shop, "dlq", *publishing, gets("order.queue"), declares("mine.dlq"))


@pytest.mark.parametrize("user", ["monitoring", "scaler", "dlq"])
async def test_users_of_the_management_api_see_numbers_and_no_message(broker, shop, user):
    credentials = await broker.credentials(f"{user}-rabbitmq")
    async with broker.api(login=(credentials.username, credentials.password)) as api:
        queue = await api.get(path("queues", broker.vhost, "order.queue"))
        assert queue["name"] == "order.queue"
        for write in (
            api.put(path("queues", broker.vhost, "mine"), {"durable": True}),
            api.put(path("users", "mine"), {"password": "p", "tags": "administrator"}),
            api.delete(path("queues", broker.vhost, "order.queue")),
            api.post(
                path("queues", broker.vhost, "order.queue", "get"),
                {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"},
            ),
        ):
            with pytest.raises(AccessDenied):
                await write
    if user == "dlq":  # the only one that may open a connection
        await assert_refused(shop, user, gets("order.queue"))
    else:
        with pytest.raises(aiormq.exceptions.InvalidFrameError, match=r"Connection\.Close"):
            async with shop(user):
                pass


async def test_a_service_opens_a_bounded_number_of_channels(broker, shop):
    limit = broker_topology.load([FOLDER / "email.yaml"])[0].spec.users["email"].limits.max_channels
    async with shop("email") as channel:
        for _ in range(limit - 1):
            await channel.connection.channel(publisher_confirms=False)
        with pytest.raises(aiormq.exceptions.AMQPError, match="limit"):
            await channel.connection.channel(publisher_confirms=False)
