"""The relay's leases, its order, its stop, and rows that it cannot read."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.shared.contracts import CATALOGUE
from services.shared.contracts.orders import OrderCompleted, OrderConfirmed
from tests.stage import Stage, event_of, eventually
from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.codec import Codec, encode
from warren_messaging.outbox.relay import RelaySettings
from warren_messaging.postgres.database import Database
from warren_messaging.transaction import Connection, Transaction

CONFIRMED, COMPLETED = OrderConfirmed(customer="gayal"), OrderCompleted(customer="gayal")


async def waiting(stage: Stage) -> list[str]:
    """Owners of the rows in the outbox."""
    return [str(row["owner"]) for row in await stage.sql("SELECT owner FROM outbox")]


async def types(stage: Stage) -> list[str]:
    return [message.delivery.routing_key for message in await stage.drain("probe.queue")]


async def test_what_another_process_has_taken_over_is_left_to_it(stage: Stage) -> None:
    settings = RelaySettings(lease_seconds=1.0, sweep_seconds=0.1)
    async with stage.outbox(settings) as outbox:
        # A place before ours that is not filled keeps the event in memory, as a process that stands still does.
        place = outbox.relay.reserve()  # type: ignore[attr-defined]
        async with outbox.transaction(Transaction) as work:
            work.announce(CONFIRMED, subject=uuid.uuid4())
        other = str(uuid.uuid4())
        await stage.sql("UPDATE outbox SET owner = $1, leased_until = now() + interval '1 hour'", other)
        await asyncio.sleep(1.2)
        place.abandon()
        async with outbox.transaction(Transaction) as work:
            work.announce(COMPLETED, subject=uuid.uuid4())

        async def only_the_others_is_left() -> bool:
            return await waiting(stage) == [other]

        await eventually(only_the_others_is_left, seconds=5)
    assert await types(stage) == ["order.completed"]


async def test_a_row_that_is_no_event_holds_up_nobody(stage: Stage) -> None:
    for body in (b'{"no": "event"}', encode(event_of(CONFIRMED))):
        await stage.sql(
            "INSERT INTO outbox (exchange, body, owner, leased_until)"
            " VALUES ('order.exchange', $1, gen_random_uuid(), now())",
            body,
        )
    async with stage.outbox():

        async def one_is_kept_with_the_reason() -> bool:
            reasons = [row["last_error"] for row in await stage.sql("SELECT last_error FROM outbox")]
            return len(reasons) == 1 and "not a CloudEvent" in str(reasons[0])

        await eventually(one_is_kept_with_the_reason, seconds=5)
    assert await types(stage) == ["order.confirmed"]


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
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "database", lambda: LateAnswer(stage.database_address()))
    subject = uuid.uuid4()
    async with stage.outbox() as outbox:

        async def announce() -> None:
            async with outbox.transaction(Transaction) as work:
                work.announce(CONFIRMED, subject=subject)

        async def so_many_wait(count: int) -> bool:
            return len(await waiting(stage)) == count

        first = asyncio.create_task(announce())
        await eventually(lambda: so_many_wait(1))
        await announce()
        assert not first.done()
        await first
        await eventually(lambda: so_many_wait(0))
    read = Codec(CATALOGUE).decode
    assert [read(message.body).sourcesequence for message in await stage.drain("probe.queue")] == [1, 2]


async def test_a_relay_that_stops_publishes_what_it_has(stage: Stage) -> None:
    async with stage.outbox() as outbox, outbox.transaction(Transaction) as work:
        for _ in range(500):
            work.announce(CONFIRMED, subject=uuid.uuid4())
    assert await waiting(stage) == []
    assert len(await stage.drain("probe.queue")) == 500


async def test_a_relay_that_stops_while_the_broker_is_away_frees_what_it_has(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = stage.address()
    nowhere = BrokerAddress("amqps://127.0.0.1:1/orders", there.credentials, there.ca_file)
    monkeypatch.setattr(stage, "address", lambda _: nowhere)
    async with stage.outbox(RelaySettings(lease_seconds=600.0)) as outbox, outbox.transaction(Transaction) as work:
        work.announce(CONFIRMED, subject=uuid.uuid4())
    assert [row["free"] for row in await stage.sql("SELECT leased_until <= now() AS free FROM outbox")] == [True]
