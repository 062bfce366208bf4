"""The relay's leases, its order, its stop, and rows that it cannot read."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.codec import Codec, encode
from warren_messaging.outbox.relay import RelaySettings
from warren_messaging.postgres.database import Database
from warren_messaging.testing import event_of
from warren_messaging.transaction import Connection, Transaction

CONFIRMED, COMPLETED = OrderConfirmed(customer="gayal"), OrderCompleted(customer="gayal")


async def waiting(env: MessagingEnv) -> list[str]:
    """Owners of the rows in the outbox."""
    return [str(row["owner"]) for row in await env.sql("SELECT owner FROM outbox")]


async def types(env: MessagingEnv) -> list[str]:
    return [message.delivery.routing_key for message in await env.drain("probe.queue")]


async def test_what_another_process_has_taken_over_is_left_to_it(env: MessagingEnv) -> None:
    settings = RelaySettings(lease_seconds=1.0, takeover_seconds=0.1)
    async with env.outbox(settings) as outbox:
        # A place before ours that is not filled keeps the event in memory, as a process that stands still does.
        slot = outbox.relay.reserve()  # type: ignore[attr-defined]
        async with outbox.transaction(Transaction) as work:
            work.announce(CONFIRMED, subject=uuid.uuid4())
        other = str(uuid.uuid4())
        await env.sql("UPDATE outbox SET owner = $1, leased_until = now() + interval '1 hour'", other)
        await asyncio.sleep(1.2)
        slot.abort()
        async with outbox.transaction(Transaction) as work:
            work.announce(COMPLETED, subject=uuid.uuid4())

        async def only_the_others_is_left() -> bool:
            return await waiting(env) == [other]

        await eventually(only_the_others_is_left, seconds=5)
    assert await types(env) == ["order.completed"]


async def test_a_row_that_is_no_event_holds_up_nobody(env: MessagingEnv) -> None:
    for body in (b'{"no": "event"}', encode(event_of(CONFIRMED))):
        await env.sql(
            "INSERT INTO outbox (exchange, body, owner, leased_until)"
            " VALUES ('order.exchange', $1, gen_random_uuid(), now())",
            body,
        )
    async with env.outbox():

        async def one_is_kept_with_the_reason() -> bool:
            reasons = [row["last_error"] for row in await env.sql("SELECT last_error FROM outbox")]
            return len(reasons) == 1 and "not a CloudEvent" in str(reasons[0])

        await eventually(one_is_kept_with_the_reason, seconds=5)
    assert await types(env) == ["order.confirmed"]


class LateAnswer(Database):
    """The first commit's answer is a while on its way."""

    seconds = 0.5

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with super().transaction() as connection:
            yield connection
        pause, self.seconds = self.seconds, 0.0
        await asyncio.sleep(pause)


async def test_a_process_publishes_in_the_order_in_which_it_sent_its_commits(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "database", lambda: LateAnswer(env.database_address()))
    subject = uuid.uuid4()
    async with env.outbox() as outbox:

        async def announce() -> None:
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=subject)

        async def so_many_wait(count: int) -> bool:
            return len(await waiting(env)) == count

        first = asyncio.create_task(announce())
        await eventually(lambda: so_many_wait(1))
        await announce()
        assert not first.done()
        await first
        await eventually(lambda: so_many_wait(0))
    read = Codec(CATALOGUE).decode
    assert [read(message.body).sourcesequence for message in await env.drain("probe.queue")] == [1, 2]


async def test_a_relay_that_stops_publishes_what_it_has(env: MessagingEnv) -> None:
    async with env.outbox() as outbox, outbox.transaction(Transaction) as work:
        for _ in range(500):
            work.announce(CONFIRMED, subject=uuid.uuid4())
    assert await waiting(env) == []
    assert len(await env.drain("probe.queue")) == 500


async def test_a_relay_that_stops_while_the_broker_is_away_frees_what_it_has(
    env: MessagingEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = env.broker_address()
    nowhere = BrokerAddress("amqps://127.0.0.1:1/orders", there.credentials, there.ca_file)
    monkeypatch.setattr(env, "broker_address", lambda _: nowhere)
    async with env.outbox(RelaySettings(lease_seconds=600.0)) as outbox, outbox.transaction(Transaction) as work:
        work.announce(CONFIRMED, subject=uuid.uuid4())
    assert [row["free"] for row in await env.sql("SELECT leased_until <= now() AS free FROM outbox")] == [True]
