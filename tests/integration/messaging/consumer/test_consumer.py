"""The life of a consumer: start, batches, lost servers, stop. tests/conformance checks its guarantees."""

import asyncio
import time
from collections.abc import Iterable

import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderPaid
from tests.messaging_env import QUEUE_ARGUMENTS, MessagingEnv, eventually, record
from warren_messaging import Effect, codec
from warren_messaging.errors import TopologyMissing
from warren_messaging.testing import event_of
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")


def bodies(count: int) -> list[bytes]:
    return [codec.encode(event_of(CONFIRMED)) for _ in range(count)]


async def test_an_announced_event_comes_back_to_the_consumer_through_the_broker(env: MessagingEnv) -> None:
    async def on_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> list[EventData]:
        await record(event, uow)
        return [OrderPaid(customer="gayal", total_cents=1, currency="EUR")]

    cause = event_of(CONFIRMED, reference="123", traceparent="00-1-2-01")
    await env.send(codec.encode(cause))
    async with env.consumer({OrderConfirmed: on_confirmed, OrderPaid: record}):
        await env.wait_for_recorded(2)
    assert env.telemetry.processed_events[0] == ("order.confirmed", ["order.paid"])
    assert env.telemetry.repeated_events == []


async def test_a_stopping_consumer_finishes_its_batch_and_returns_the_rest_uncounted(env: MessagingEnv) -> None:
    started = asyncio.Event()

    async def slow(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        started.set()
        await asyncio.sleep(0.01)
        return await record(event, uow)

    await env.send(*bodies(250))
    async with env.consumer({OrderConfirmed: slow}, prefetch=250):
        await started.wait()
    done = len(await env.recorded())
    assert 0 < done < 250
    returned = await env.drain("probe.queue")
    assert len(returned) == 250 - done
    assert not [message for message in returned if "x-delivery-count" in (message.header.properties.headers or {})]
    assert await env.depth("probe.dlq") == 0
    await env.send(*(message.body for message in returned))
    async with env.consumer({OrderConfirmed: record}):
        await env.wait_for_recorded(250)
    assert len(set(await env.recorded())) == 250


async def test_a_stopping_consumer_loses_no_acknowledgement(env: MessagingEnv) -> None:
    """A channel of RabbitMQ holds acknowledgements back while 32 are not applied by the quorum queue, and drops them
    when it closes. Here the queue applies none for a while, and 100 deliveries need one acknowledgement each, because
    an effect before them ends last."""
    events = [event_of(OrderPaid(customer="gayal", total_cents=1, currency="EUR")) for _ in range(200)]
    prepared: list[str] = []
    done: list[str] = []
    all_prepared, stopped, all_but_first_done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def prepare(event: Event[OrderPaid], uow: Transaction) -> str:
        prepared.append(str(event.logicalid))
        if len(prepared) == len(events):
            all_prepared.set()
        return str(event.logicalid)

    async def perform(key: str) -> None:
        await stopped.wait()
        if key == prepared[0]:
            await all_but_first_done.wait()

    async def complete(event: Event[OrderPaid], key: str, result: None, uow: Transaction) -> Iterable[EventData]:
        done.append(key)
        if len(done) == len(events) - 1:
            all_but_first_done.set()
        return await record(event, uow)

    await env.send(*map(codec.encode, events))
    async with env.consumer({OrderPaid: Effect(prepare, perform, complete)}) as consumer:
        async with asyncio.timeout(20):
            await all_prepared.wait()
        consumer.stop()
        await asyncio.sleep(0.2)
        await call_queue_process(env, "suspend")
        stopped.set()
        await env.wait_for_recorded(len(events))
        await asyncio.sleep(2)  # time enough to close the channel too early
        await call_queue_process(env, "resume")
    assert await env.drain("probe.queue") == []


async def call_queue_process(env: MessagingEnv, function: str) -> None:
    """Call `sys:suspend` or `sys:resume` with the broker's process of probe.queue, which then applies no command."""
    program = f"""
        {{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"{env.vhost}">>, queue, <<"probe.queue">>)),
        {{Name, _}} = amqqueue:get_pid(Queue),
        sys:{function}(Name).
    """
    await asyncio.to_thread(env.servers.broker.rabbitmqctl, "eval", program)


async def test_a_lost_connection_is_replaced_and_no_event_is_lost_or_processed_twice(env: MessagingEnv) -> None:
    async with env.consumer({OrderConfirmed: record}) as consumer:
        for _ in range(3):
            await env.send(*bodies(50))
            await close_connections(env)
            await eventually(lambda: not consumer.consuming)
            await eventually(lambda: consumer.consuming)
        await env.wait_for_recorded(150)
        await eventually(lambda: is_empty(env))
    assert len(set(await env.recorded())) == len(await env.recorded()) == 150


async def is_empty(env: MessagingEnv) -> bool:
    async with env.management_api() as api:
        queue = (await api.get(f"queues/{env.vhost}/probe.queue")).json()
        return queue.get("messages", 1) == 0


async def close_connections(env: MessagingEnv) -> None:
    """Close the connections of the user `probe` at the broker; wait until there is one."""
    async with env.management_api() as api:

        async def names() -> list[str]:
            found = (await api.get("connections")).json()
            return [each["name"] for each in found if each.get("vhost") == env.vhost and each["user"] == "probe"]

        async def any_open() -> bool:
            return bool(await names())

        await eventually(any_open)
        for name in await names():
            await api.delete(f"connections/{name}", headers={"X-Reason": "test"})


async def test_a_subscription_that_the_broker_ends_is_opened_again(env: MessagingEnv) -> None:
    async with env.consumer({OrderConfirmed: record}) as consumer:
        async with env.channel() as channel:
            await channel.queue_delete("probe.queue")
            await eventually(lambda: not consumer.consuming)
            await channel.queue_declare("probe.queue", durable=True, arguments=QUEUE_ARGUMENTS)
        await eventually(lambda: consumer.consuming)
        await env.send(*bodies(1))
        await env.wait_for_recorded(1)
    connections = [expires_at for component, expires_at in env.telemetry.connections if component == "probe.queue"]
    assert len(connections) >= 2
    assert all(expires_at is not None and expires_at > time.time() for expires_at in connections)


async def test_a_missing_queue_ends_the_consumer_with_a_remedy(env: MessagingEnv) -> None:
    await env.add_user("probe", write="^$", read=".*")
    with pytest.raises(TopologyMissing, match=r"no queue 'nowhere.queue'.*apply"):
        async with env.consumer({OrderConfirmed: record}, queue="nowhere.queue"):
            pass


async def test_an_unavailable_database_counts_as_no_failure_and_loses_no_event(env: MessagingEnv) -> None:
    async with env.consumer({OrderConfirmed: record}) as consumer:
        await env.send(*bodies(20))
        await env.wait_for_recorded(20)
        await asyncio.to_thread(env.servers.postgres.restart, kill=True)
        await env.send(*bodies(20))
        await eventually(lambda: consumer.consuming, seconds=30)
        await env.wait_for_recorded(40, seconds=30)
    assert env.telemetry.failures == []
    assert len(set(await env.recorded())) == 40
