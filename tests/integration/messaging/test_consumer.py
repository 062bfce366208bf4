"""The consumer's life: start, batches, loss of a server, stop. What it guarantees is in tests/conformance."""

import asyncio
from collections.abc import Iterable

import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.stage import ARGUMENTS, Stage, event_of, eventually
from warren_messaging import codec
from warren_messaging.errors import TopologyMissing
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")


@pytest.fixture(autouse=True)
async def _seen_table(stage: Stage) -> None:
    await stage.sql("CREATE TABLE seen (id uuid, type text)")


async def note(event: Event[EventData], work: Transaction) -> Iterable[EventData]:
    await work.connection.execute("INSERT INTO seen VALUES ($1, $2)", event.logicalid, event.type)
    return []


async def seen(stage: Stage) -> list[str]:
    return [str(row["id"]) for row in await stage.sql("SELECT id FROM seen")]


async def is_seen(stage: Stage, count: int) -> bool:
    return len(await seen(stage)) >= count


async def idle(stage: Stage) -> bool:
    async with stage.api() as api:
        queue = (await api.get(f"queues/{stage.vhost}/probe.queue")).json()
        return queue.get("messages", 1) == 0


async def test_handlers_announce_what_follows_in_the_same_transaction(stage: Stage) -> None:
    async def on_confirmed(event: Event[OrderConfirmed], work: Transaction) -> list[EventData]:
        await note(event, work)
        return [OrderPaid(customer="gayal", total_cents=1, currency="EUR")]

    cause = event_of(CONFIRMED, reference="123", traceparent="00-1-2-01")
    await stage.send(codec.encode(cause))
    async with stage.consumer({OrderConfirmed: on_confirmed, OrderPaid: note}):
        await eventually(lambda: is_seen(stage, 2))
    assert stage.record.processed_[0] == ("order.confirmed", ["order.paid"])
    assert stage.record.repeated_ == []


async def test_stopping_finishes_what_is_under_way_and_returns_the_rest_unharmed(stage: Stage) -> None:
    started = asyncio.Event()

    async def slow(event: Event[OrderConfirmed], work: Transaction) -> Iterable[EventData]:
        started.set()
        await asyncio.sleep(0.01)
        return await note(event, work)

    await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(250)))
    async with stage.consumer({OrderConfirmed: slow}, prefetch=250):
        await started.wait()
    done = len(await seen(stage))
    assert 0 < done < 250
    returned = await stage.drain("probe.queue")
    assert len(returned) == 250 - done
    assert not [message for message in returned if "x-delivery-count" in (message.header.properties.headers or {})]
    assert await stage.depth("probe.dlq") == 0
    await stage.send(*(message.body for message in returned))
    async with stage.consumer({OrderConfirmed: note}):
        await eventually(lambda: is_seen(stage, 250))
    assert len(set(await seen(stage))) == 250


async def test_a_lost_connection_is_replaced_and_nothing_is_lost_or_doubled(stage: Stage) -> None:
    async with stage.consumer({OrderConfirmed: note}) as consumer:
        for _ in range(3):
            await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(50)))
            await close_connections(stage)
            await eventually(lambda: not consumer.consuming)
            await eventually(lambda: consumer.consuming)
        await eventually(lambda: is_seen(stage, 150))
        await eventually(lambda: idle(stage))
    assert len(set(await seen(stage))) == len(await seen(stage)) == 150


async def close_connections(stage: Stage) -> None:
    async with stage.api() as api:

        async def ours() -> bool:
            return bool(connections(await listing()))

        async def listing() -> list[dict[str, str]]:
            return list((await api.get("connections")).json())

        def connections(found: list[dict[str, str]]) -> list[str]:
            return [each["name"] for each in found if each.get("vhost") == stage.vhost and each["user"] == "probe"]

        await eventually(ours)
        for name in connections(await listing()):
            await api.delete(f"connections/{name}", headers={"X-Reason": "test"})


async def test_a_subscription_that_the_broker_ends_is_taken_up_again(stage: Stage) -> None:
    async with stage.consumer({OrderConfirmed: note}) as consumer:
        async with stage.channel() as channel:
            await channel.queue_delete("probe.queue")
            await eventually(lambda: not consumer.consuming)
            await channel.queue_declare("probe.queue", durable=True, arguments=ARGUMENTS)
        await eventually(lambda: consumer.consuming)
        await stage.send(codec.encode(event_of(CONFIRMED)))
        await eventually(lambda: is_seen(stage, 1))


async def test_a_missing_queue_is_said_at_once(stage: Stage) -> None:
    await stage.add_user("probe", write="^$", read=".*")
    with pytest.raises(TopologyMissing, match=r"no queue 'nowhere.queue'.*apply"):
        async with stage.consumer({OrderConfirmed: note}, queue="nowhere.queue"):
            pass


async def test_while_the_database_is_away_nothing_is_blamed_or_lost(stage: Stage) -> None:
    async with stage.consumer({OrderConfirmed: note}) as consumer:
        await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(20)))
        await eventually(lambda: is_seen(stage, 20))
        await asyncio.to_thread(stage.servers.postgres.restart, kill=True)
        await stage.send(*(codec.encode(event_of(CONFIRMED)) for _ in range(20)))
        await eventually(lambda: consumer.consuming, seconds=30)
        await eventually(lambda: is_seen(stage, 40), seconds=30)
    assert stage.record.failed_ == []
    assert len(set(await seen(stage))) == 40
