"""Guarantee 2: an event of a committed transaction is published, confirmed, routed, then removed from the outbox."""

import asyncio
import uuid

import asyncpg
import pytest

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderCancelRequested, OrderCompleted, OrderConfirmed
from tests.messaging_env import MessagingEnv, announce, eventually
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.codec import Codec
from warren_messaging.outbox.relay import RelaySettings
from warren_messaging.transaction import Transaction

CONFIRMED, COMPLETED = OrderConfirmed(customer="gayal"), OrderCompleted(customer="gayal")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def last_errors(env: MessagingEnv) -> list[str | None]:
    return [row["last_error"] for row in await env.sql("SELECT last_error FROM outbox")]


async def test_committed_events_are_published_once_and_removed_from_the_outbox(env: MessagingEnv) -> None:
    async with env.outbox() as outbox:
        for _ in range(20):
            await announce(outbox, *[CONFIRMED] * 5, reference="123", traceparent=TRACE)
        await env.wait_for_outbox()
    messages = await env.drain("probe.queue")
    assert len(messages) == 100
    properties = messages[0].header.properties
    event = Codec(CATALOGUE).decode(messages[0].body)
    assert event.data == CONFIRMED
    assert (properties.message_id, properties.correlation_id) == (str(event.id), str(event.subject))
    assert (properties.user_id, properties.delivery_mode, properties.message_type) == ("probe", 2, "order.confirmed")
    assert event.traceparent == TRACE
    assert (properties.headers or {}).get("traceparent") == TRACE


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        pytest.param("SELECT 1 / 0", asyncpg.DivisionByZeroError, id="in the transaction"),
        # The constraint is checked by COMMIT, after the events are stored.
        pytest.param("INSERT INTO once VALUES (1), (1)", asyncpg.UniqueViolationError, id="by its commit"),
    ],
)
async def test_a_failed_transaction_announces_no_event(
    env: MessagingEnv, statement: str, error: type[Exception]
) -> None:
    await env.sql("CREATE TABLE once (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    await env.sql("GRANT ALL ON once TO probe")
    async with env.outbox() as outbox:
        with pytest.raises(error):
            async with outbox.transaction(Transaction) as uow:
                uow.announce(CONFIRMED, subject=uuid.uuid4())
                await uow.connection.execute(statement)
        await announce(outbox, COMPLETED)
        await env.wait_for_outbox()
    assert [message.delivery.routing_key for message in await env.drain("probe.queue")] == ["order.completed"]


async def test_sequence_numbers_have_no_gap_and_follow_the_order_of_commits(env: MessagingEnv) -> None:
    subject = uuid.uuid4()
    async with env.outbox() as outbox:
        await asyncio.gather(*(announce(outbox, CONFIRMED, CONFIRMED, subject=subject) for _ in range(25)))
        await env.wait_for_outbox()
    decode = Codec(CATALOGUE).decode
    numbers = [decode(message.body).sourcesequence for message in await env.drain("probe.queue")]
    assert numbers == list(range(1, 51))


async def test_an_event_without_a_queue_stays_in_the_outbox_until_a_queue_is_bound(env: MessagingEnv) -> None:
    async with env.channel() as channel, env.outbox() as outbox:
        await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
        await announce(outbox, OrderCancelRequested(reason="fraud"))
        await eventually(lambda: ("order.cancel_requested", PublishResult.RETURNED) in env.telemetry.publish_results)

        async def kept_with_reason() -> bool:
            kept = await env.sql("SELECT last_error FROM outbox WHERE attempts >= 1")
            return [row["last_error"] for row in kept] == ["no queue took it"]

        await eventually(kept_with_reason, seconds=5)
        await channel.queue_bind("probe.queue", "order.exchange", "order.*")
        await env.wait_for_outbox()
    assert len(await env.drain("probe.queue")) == 1


async def test_an_event_that_a_full_queue_refuses_stays_in_the_outbox_until_there_is_room(env: MessagingEnv) -> None:
    async with env.channel() as channel:
        await channel.queue_unbind("probe.queue", "order.exchange", "order.*")
        arguments = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        await channel.queue_declare("full.queue", durable=True, arguments=arguments)
        await channel.queue_bind("full.queue", "order.exchange", "order.*")
    async with env.outbox() as outbox:
        for _ in range(12):
            await announce(outbox, CONFIRMED)
            await asyncio.sleep(0.05)
        await eventually(lambda: ("order.confirmed", PublishResult.REFUSED) in env.telemetry.publish_results)
        received = 0
        for _ in range(200):
            received += len(await env.drain("full.queue"))
            if received >= 12 and await env.outbox_count() == 0:
                break
            await asyncio.sleep(0.1)
        assert (received, await env.outbox_count()) == (12, 0)


async def test_a_forbidden_exchange_delays_no_other_event(env: MessagingEnv) -> None:
    async with env.channel() as channel:
        await channel.exchange_declare("secret.exchange", exchange_type="fanout", durable=True)
    async with env.outbox() as outbox:
        async with outbox.transaction(Transaction) as uow:
            uow.announce(CONFIRMED, subject=uuid.uuid4())
            uow.announce(CONFIRMED, subject=uuid.uuid4(), exchange="secret.exchange")
            uow.announce(CONFIRMED, subject=uuid.uuid4())

        async def one_left() -> bool:
            errors = await last_errors(env)
            return len(errors) == 1 and errors[0] is not None

        await eventually(one_left)
        kept = (await env.sql("SELECT exchange, last_error FROM outbox"))[0]
        assert kept["exchange"] == "secret.exchange"
        assert "access to exchange 'secret.exchange'" in kept["last_error"]


async def test_the_sweeper_publishes_the_events_of_a_crashed_process(env: MessagingEnv) -> None:
    # Its capacity of one event is in use, so the stopped process sweeps no event itself.
    async with env.outbox(RelaySettings(lease_seconds=2.0, takeover_seconds=0.2, capacity=1)) as outbox:
        # An earlier slot that is never filled stops publishing from memory, as a crash does.
        slot = outbox.relay.reserve()  # type: ignore[attr-defined]
        await announce(outbox, CONFIRMED)
        await asyncio.sleep(0.3)
        assert await env.outbox_count() == 1
        async with env.outbox(RelaySettings(lease_seconds=2.0, takeover_seconds=0.2)):
            # The owner is alive and renews its lease, so no other process publishes its row.
            await asyncio.sleep(3.0)
            assert await env.outbox_count() == 1
        await env.sql("UPDATE outbox SET owner = gen_random_uuid(), leased_until = now() + interval '1 second'")
        await asyncio.sleep(1)
        async with env.outbox():
            await env.wait_for_outbox()
        slot.abort()
    assert len(await env.drain("probe.queue")) == 1


async def test_events_beyond_the_capacity_in_memory_wait_and_none_is_lost(env: MessagingEnv) -> None:
    settings = RelaySettings(lease_seconds=2.0, takeover_seconds=0.1, capacity=10, window=5)
    async with env.outbox(settings) as outbox:
        for _ in range(10):
            await announce(outbox, *[CONFIRMED] * 8)
        await env.wait_for_outbox()
    assert len(await env.drain("probe.queue")) == 80
