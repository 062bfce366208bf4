"""The relay with real servers: leases, publish order, shutdown, and outbox rows that are not events."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.messaging_env import MessagingEnv, announce, eventually
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.codec import Codec, encode
from warren_messaging.outbox.relay import RelaySettings
from warren_messaging.postgres.database import Database
from warren_messaging.testing import event_of
from warren_messaging.transaction import Connection, Transaction

CONFIRMED, COMPLETED = OrderConfirmed(customer="gayal"), OrderCompleted(customer="gayal")


async def owners(env: MessagingEnv) -> list[str]:
    return [str(row["owner"]) for row in await env.sql("SELECT owner FROM outbox")]


async def types(env: MessagingEnv) -> list[str]:
    return [message.delivery.routing_key for message in await env.drain("probe.queue")]


async def test_a_row_that_another_process_has_leased_is_not_published(env: MessagingEnv) -> None:
    settings = RelaySettings(lease_seconds=1.0, takeover_seconds=0.1)
    async with env.outbox(settings) as outbox:
        # While an earlier slot is open, the relay does not publish the event, as if the process were suspended.
        slot = outbox.relay.reserve()  # type: ignore[attr-defined]
        await announce(outbox, CONFIRMED)
        other = str(uuid.uuid4())
        await env.sql("UPDATE outbox SET owner = $1, leased_until = now() + interval '1 hour'", other)
        await asyncio.sleep(1.2)
        slot.abort()
        await announce(outbox, COMPLETED)

        async def only_the_leased_row_is_left() -> bool:
            return await owners(env) == [other]

        await eventually(only_the_leased_row_is_left, seconds=5)
    assert await types(env) == ["order.completed"]


async def test_a_row_that_is_not_an_event_delays_no_event(env: MessagingEnv) -> None:
    for body in (b'{"no": "event"}', encode(event_of(CONFIRMED))):
        await env.sql(
            "INSERT INTO outbox (exchange, body, owner, leased_until)"
            " VALUES ('order.exchange', $1, gen_random_uuid(), now())",
            body,
        )
    async with env.outbox():

        async def only_the_invalid_row_is_left() -> bool:
            reasons = [row["last_error"] for row in await env.sql("SELECT last_error FROM outbox")]
            return len(reasons) == 1 and "not a CloudEvent" in str(reasons[0])

        await eventually(only_the_invalid_row_is_left, seconds=5)
    assert await types(env) == ["order.confirmed"]


class SlowCommitDatabase(Database):
    """A database whose first commit returns half a second late."""

    delay = 0.5  # seconds

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with super().transaction() as connection:
            yield connection
        delay, self.delay = self.delay, 0.0
        await asyncio.sleep(delay)


async def test_a_process_publishes_in_the_order_in_which_it_sent_its_commits(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "database", lambda: SlowCommitDatabase(env.database_address()))
    subject = uuid.uuid4()
    async with env.outbox() as outbox:
        first = asyncio.create_task(announce(outbox, CONFIRMED, subject=subject))
        await env.wait_for_outbox(1)
        await announce(outbox, CONFIRMED, subject=subject)
        assert not first.done()
        await first
        await env.wait_for_outbox()
    decode = Codec(CATALOGUE).decode
    assert [decode(message.body).sourcesequence for message in await env.drain("probe.queue")] == [1, 2]


async def test_a_stopping_relay_publishes_the_events_in_its_memory(env: MessagingEnv) -> None:
    async with env.outbox() as outbox, outbox.transaction(Transaction) as uow:
        for _ in range(500):
            uow.announce(CONFIRMED, subject=uuid.uuid4())
    assert await owners(env) == []
    assert len(await env.drain("probe.queue")) == 500


async def test_a_relay_that_stops_without_a_broker_ends_the_leases_of_its_rows(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    reachable = env.broker_address()
    unreachable = BrokerAddress("amqps://127.0.0.1:1/orders", reachable.credentials, reachable.ca_file)
    monkeypatch.setattr(env, "broker_address", lambda _: unreachable)
    async with env.outbox(RelaySettings(lease_seconds=600.0)) as outbox, outbox.transaction(Transaction) as uow:
        uow.announce(CONFIRMED, subject=uuid.uuid4())
    assert [row["free"] for row in await env.sql("SELECT leased_until <= now() AS free FROM outbox")] == [True]
