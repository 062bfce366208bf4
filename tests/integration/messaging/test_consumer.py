"""The consumer's life: start, batches, loss of a server, stop. What it guarantees is in tests/conformance."""

import asyncio
from collections.abc import Iterable

import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.messaging_env import QUEUE_ARGUMENTS, MessagingEnv, eventually
from warren_messaging import codec
from warren_messaging.errors import TopologyMissing
from warren_messaging.testing import event_of
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")


@pytest.fixture(autouse=True)
async def _seen_table(env: MessagingEnv) -> None:
    await env.sql("CREATE TABLE seen (id uuid, type text)")


async def note(event: Event[EventData], work: Transaction) -> Iterable[EventData]:
    await work.connection.execute("INSERT INTO seen VALUES ($1, $2)", event.logicalid, event.type)
    return []


async def seen(env: MessagingEnv) -> list[str]:
    return [str(row["id"]) for row in await env.sql("SELECT id FROM seen")]


async def is_seen(env: MessagingEnv, count: int) -> bool:
    return len(await seen(env)) >= count


async def idle(env: MessagingEnv) -> bool:
    async with env.management_api() as api:
        queue = (await api.get(f"queues/{env.vhost}/probe.queue")).json()
        return queue.get("messages", 1) == 0


async def test_handlers_announce_what_follows_in_the_same_transaction(env: MessagingEnv) -> None:
    async def on_confirmed(event: Event[OrderConfirmed], work: Transaction) -> list[EventData]:
        await note(event, work)
        return [OrderPaid(customer="gayal", total_cents=1, currency="EUR")]

    cause = event_of(CONFIRMED, reference="123", traceparent="00-1-2-01")
    await env.send(codec.encode(cause))
    async with env.consumer({OrderConfirmed: on_confirmed, OrderPaid: note}):
        await eventually(lambda: is_seen(env, 2))
    assert env.telemetry.processed_events[0] == ("order.confirmed", ["order.paid"])
    assert env.telemetry.repeated_events == []


async def test_stopping_finishes_what_is_under_way_and_returns_the_rest_unharmed(env: MessagingEnv) -> None:
    started = asyncio.Event()

    async def slow(event: Event[OrderConfirmed], work: Transaction) -> Iterable[EventData]:
        started.set()
        await asyncio.sleep(0.01)
        return await note(event, work)

    await env.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(250)))
    async with env.consumer({OrderConfirmed: slow}, prefetch=250):
        await started.wait()
    done = len(await seen(env))
    assert 0 < done < 250
    returned = await env.drain("probe.queue")
    assert len(returned) == 250 - done
    assert not [message for message in returned if "x-delivery-count" in (message.header.properties.headers or {})]
    assert await env.depth("probe.dlq") == 0
    await env.send(*(message.body for message in returned))
    async with env.consumer({OrderConfirmed: note}):
        await eventually(lambda: is_seen(env, 250))
    assert len(set(await seen(env))) == 250


async def test_a_lost_connection_is_replaced_and_nothing_is_lost_or_doubled(env: MessagingEnv) -> None:
    async with env.consumer({OrderConfirmed: note}) as consumer:
        for _ in range(3):
            await env.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(50)))
            await close_connections(env)
            await eventually(lambda: not consumer.consuming)
            await eventually(lambda: consumer.consuming)
        await eventually(lambda: is_seen(env, 150))
        await eventually(lambda: idle(env))
    assert len(set(await seen(env))) == len(await seen(env)) == 150


async def close_connections(env: MessagingEnv) -> None:
    async with env.management_api() as api:

        async def ours() -> bool:
            return bool(connections(await listing()))

        async def listing() -> list[dict[str, str]]:
            return list((await api.get("connections")).json())

        def connections(found: list[dict[str, str]]) -> list[str]:
            return [each["name"] for each in found if each.get("vhost") == env.vhost and each["user"] == "probe"]

        await eventually(ours)
        for name in connections(await listing()):
            await api.delete(f"connections/{name}", headers={"X-Reason": "test"})


async def test_a_subscription_that_the_broker_ends_is_taken_up_again(env: MessagingEnv) -> None:
    async with env.consumer({OrderConfirmed: note}) as consumer:
        async with env.channel() as channel:
            await channel.queue_delete("probe.queue")
            await eventually(lambda: not consumer.consuming)
            await channel.queue_declare("probe.queue", durable=True, arguments=QUEUE_ARGUMENTS)
        await eventually(lambda: consumer.consuming)
        await env.send(codec.encode(event_of(CONFIRMED)))
        await eventually(lambda: is_seen(env, 1))


async def test_a_missing_queue_is_said_at_once(env: MessagingEnv) -> None:
    await env.add_user("probe", write="^$", read=".*")
    with pytest.raises(TopologyMissing, match=r"no queue 'nowhere.queue'.*apply"):
        async with env.consumer({OrderConfirmed: note}, queue="nowhere.queue"):
            pass


async def test_while_the_database_is_away_nothing_is_blamed_or_lost(env: MessagingEnv) -> None:
    async with env.consumer({OrderConfirmed: note}) as consumer:
        await env.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(20)))
        await eventually(lambda: is_seen(env, 20))
        await asyncio.to_thread(env.servers.postgres.restart, kill=True)
        await env.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(20)))
        await eventually(lambda: consumer.consuming, seconds=30)
        await eventually(lambda: is_seen(env, 40), seconds=30)
    assert env.telemetry.failures == []
    assert len(set(await seen(env))) == 40
