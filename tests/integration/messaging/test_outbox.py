"""Guarantee 2: an event of a committed transaction is published, confirmed, routed, then removed."""

import asyncio
import uuid

import asyncpg
import pytest

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderCancelRequested, OrderCompleted, OrderConfirmed
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.codec import Codec
from warren_messaging.outbox.relay import RelaySettings
from warren_messaging.transaction import Transaction

CONFIRMED = OrderConfirmed(customer="gayal")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def rows(env: MessagingEnv) -> int:
    return int((await env.sql("SELECT count(*) FROM outbox"))[0][0])


async def empty(env: MessagingEnv) -> bool:
    return await rows(env) == 0


async def test_committed_events_reach_the_broker_once_and_leave_the_table(env: MessagingEnv) -> None:
    async with env.outbox() as outbox:
        for _ in range(20):
            async with outbox.transaction(Transaction) as work:
                for _ in range(5):
                    work.announce(CONFIRMED, subject=uuid.uuid4(), reference="123", traceparent=TRACE)
        await eventually(lambda: empty(env))
    messages = await env.drain("probe.queue")
    assert len(messages) == 100
    properties = messages[0].header.properties
    event = Codec(CATALOGUE).decode(messages[0].body)
    assert event.data == CONFIRMED
    assert (properties.message_id, properties.correlation_id) == (str(event.id), str(event.subject))
    assert (properties.user_id, properties.delivery_mode, properties.message_type) == ("probe", 2, "order.confirmed")
    assert event.traceparent == TRACE
    assert (properties.headers or {}).get("traceparent") == TRACE


async def test_a_rolled_back_transaction_announces_nothing(env: MessagingEnv) -> None:
    async with env.outbox() as outbox:
        with pytest.raises(ZeroDivisionError):
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=uuid.uuid4())
                raise ZeroDivisionError
        async with outbox.transaction(Transaction) as work:
            work.announce(OrderCompleted(customer="x"), subject=uuid.uuid4())
        await eventually(lambda: empty(env))
    assert [message.delivery.routing_key for message in await env.drain("probe.queue")] == ["order.completed"]


async def test_a_transaction_whose_commit_fails_announces_nothing(env: MessagingEnv) -> None:
    # A constraint that is looked at by COMMIT itself, when the events are stored already.
    await env.sql("CREATE TABLE once (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    await env.sql("GRANT ALL ON once TO probe")
    async with env.outbox() as outbox:
        with pytest.raises(asyncpg.UniqueViolationError):
            async with outbox.transaction(Transaction) as work:
                await work.connection.execute("INSERT INTO once VALUES (1), (1)")
                work.announce(CONFIRMED, subject=uuid.uuid4())
        async with outbox.transaction(Transaction) as work:
            work.announce(OrderCompleted(customer="x"), subject=uuid.uuid4())
        await eventually(lambda: empty(env))
    assert [message.delivery.routing_key for message in await env.drain("probe.queue")] == ["order.completed"]


async def test_sequence_numbers_have_no_gap_and_follow_the_commits(env: MessagingEnv) -> None:
    subject = uuid.uuid4()
    async with env.outbox() as outbox:

        async def announce() -> None:
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=subject)
                work.announce(CONFIRMED, subject=subject)

        await asyncio.gather(*(announce() for _ in range(25)))
        await eventually(lambda: empty(env))
    read = Codec(CATALOGUE).decode
    assert [read(message.body).sourcesequence for message in await env.drain("probe.queue")] == list(range(1, 51))


async def test_an_event_that_no_queue_takes_stays_and_is_delivered_once_a_queue_does(env: MessagingEnv) -> None:
    async with env.channel() as channel:
        await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
    async with env.outbox() as outbox:
        async with outbox.transaction(Transaction) as work:
            work.announce(OrderCancelRequested(reason="fraud"), subject=uuid.uuid4())
        await eventually(lambda: ("order.cancel_requested", PublishResult.RETURNED) in env.telemetry.publish_results)
        await eventually(lambda: kept_with(env, "no queue took it"), seconds=5)
        async with env.channel() as channel:
            await channel.queue_bind("probe.queue", "order.exchange", "order.*")
        await eventually(lambda: empty(env))
    assert len(await env.drain("probe.queue")) == 1


async def test_a_full_queue_refuses_and_the_event_is_kept(env: MessagingEnv) -> None:
    async with env.channel() as channel:
        await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
        await channel.queue_declare(
            "full.queue",
            durable=True,
            arguments={"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"},
        )
        await channel.queue_bind("full.queue", "order.exchange", "order.*")
    async with env.outbox() as outbox:
        for _ in range(12):
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=uuid.uuid4())
            await asyncio.sleep(0.05)
        await eventually(lambda: ("order.confirmed", PublishResult.REFUSED) in env.telemetry.publish_results)
        taken = 0
        for _ in range(200):
            taken += len(await env.drain("full.queue"))
            if taken >= 12 and await rows(env) == 0:
                break
            await asyncio.sleep(0.1)
        assert (taken, await rows(env)) == (12, 0)


async def test_a_forbidden_exchange_harms_only_its_own_event(env: MessagingEnv) -> None:
    async with env.channel() as channel:
        await channel.exchange_declare("secret.exchange", exchange_type="fanout", durable=True)
    async with env.outbox() as outbox:
        async with outbox.transaction(Transaction) as work:
            work.announce(CONFIRMED, subject=uuid.uuid4())
            work.announce(CONFIRMED, subject=uuid.uuid4(), exchange="secret.exchange")
            work.announce(CONFIRMED, subject=uuid.uuid4())
        await eventually(lambda: one_left(env))
        kept = (await env.sql("SELECT exchange, last_error FROM outbox"))[0]
        assert kept["exchange"] == "secret.exchange"
        assert "access to exchange 'secret.exchange'" in kept["last_error"]


async def kept_with(env: MessagingEnv, reason: str) -> bool:
    kept = await env.sql("SELECT last_error FROM outbox WHERE attempts >= 1")
    return [row["last_error"] for row in kept] == [reason]


async def one_left(env: MessagingEnv) -> bool:
    found = await env.sql("SELECT last_error FROM outbox")
    return len(found) == 1 and found[0]["last_error"] is not None


async def test_the_sweeper_publishes_what_a_crashed_process_left(env: MessagingEnv) -> None:
    # With room for one event, which it holds, the stopped process sweeps none itself.
    async with env.outbox(RelaySettings(lease_seconds=2.0, takeover_seconds=0.2, capacity=1)) as outbox:
        slot = outbox.relay.reserve()  # type: ignore[attr-defined]
        # A place before ours that is never filled stops publishing from memory, as a crash would.
        async with outbox.transaction(Transaction) as work:
            work.announce(CONFIRMED, subject=uuid.uuid4())
        await asyncio.sleep(0.3)
        assert await rows(env) == 1
        async with env.outbox(RelaySettings(lease_seconds=2.0, takeover_seconds=0.2)):
            # Nobody takes a row whose owner is alive and renews its lease.
            await asyncio.sleep(3.0)
            assert await rows(env) == 1
        await env.sql("UPDATE outbox SET owner = gen_random_uuid(), leased_until = now() + interval '1 second'")
        await asyncio.sleep(1)
        async with env.outbox():
            await eventually(lambda: empty(env))
        slot.abort()
    assert len(await env.drain("probe.queue")) == 1


async def test_events_wait_while_the_broker_is_full_of_them_in_memory_and_none_is_lost(env: MessagingEnv) -> None:
    settings = RelaySettings(lease_seconds=2.0, takeover_seconds=0.1, capacity=10, window=5)
    async with env.outbox(settings) as outbox:
        for _ in range(10):
            async with outbox.transaction(Transaction) as work:
                for _ in range(8):
                    work.announce(CONFIRMED, subject=uuid.uuid4())
        await eventually(lambda: empty(env))
    assert len(await env.drain("probe.queue")) == 80
