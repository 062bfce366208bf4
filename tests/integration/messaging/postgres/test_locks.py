"""The library locks rows in the order of their keys, so that two of its batches cannot deadlock.

A transaction that waits for its lowest key must not hold a lock on a higher one. Handlers may lock in any order; the
victim of their deadlock runs again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from uuid import UUID

import pytest

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderConfirmed
from tests.locks import LockProbe
from tests.messaging_env import MessagingEnv, eventually
from warren_messaging import Transaction, encode
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.postgres import inbox
from warren_messaging.testing import event_of

LOW, HIGH = UUID(int=1), UUID(int=2)
CONFIRMED = OrderConfirmed(customer="gayal")


async def insert_keys(outbox: Outbox) -> None:
    async with outbox.transaction(Transaction) as uow:
        await inbox.insert_keys(uow.connection, "probe", [HIGH, LOW])


async def announce(outbox: Outbox) -> None:
    async with outbox.transaction(Transaction) as uow:
        for subject in (HIGH, LOW):
            uow.announce(CONFIRMED, subject=subject)


async def check_lower_key_first(
    env: MessagingEnv, locks: LockProbe, run: Callable[[Outbox], Awaitable[None]], insert: str
) -> None:
    async with env.outbox() as outbox:
        async with locks.hold(insert, LOW):
            running = asyncio.ensure_future(run(outbox))
            await locks.wait_for_blocked()
            free = await locks.can_lock(insert, HIGH)
        with suppress(TimeoutError):
            await running
    assert free, "the higher key is locked before the lower one"


async def test_the_inbox_is_locked_in_the_order_of_its_keys(env: MessagingEnv, locks: LockProbe) -> None:
    await check_lower_key_first(
        env, locks, insert_keys, "INSERT INTO probe.inbox (consumer, dedup_key) VALUES ('probe', $1)"
    )


@pytest.mark.parametrize("known", [True, False])
async def test_counters_are_locked_in_the_order_of_their_keys(env: MessagingEnv, locks: LockProbe, known: bool) -> None:
    if known:
        await env.sql("INSERT INTO sequences VALUES ($1, 1), ($2, 1)", LOW, HIGH)
    insert = "INSERT INTO probe.sequences AS s VALUES ($1, 1) ON CONFLICT (subject) DO UPDATE SET last = s.last + 1"
    await check_lower_key_first(env, locks, announce, insert)


async def test_the_victim_of_a_deadlock_runs_again_at_once_and_does_not_count_as_failed(
    env: MessagingEnv, locks: LockProbe
) -> None:
    await env.sql("CREATE TABLE shelf (id int PRIMARY KEY)")
    await env.sql("INSERT INTO shelf VALUES (1), (2)")
    await env.sql("GRANT ALL ON shelf TO probe")
    lock = "SELECT FROM probe.shelf WHERE id = $1 FOR UPDATE"
    has_first, go_on, tries = asyncio.Event(), asyncio.Event(), []

    async def on_confirmed(event: Event[OrderConfirmed], uow: Transaction) -> Iterable[EventData]:
        tries.append(event.id)
        await uow.connection.execute(lock, 1)
        has_first.set()
        await go_on.wait()
        await uow.connection.execute(lock, 2)
        return ()

    async with env.consumer({OrderConfirmed: on_confirmed}):
        await env.send(encode(event_of(CONFIRMED)))
        await has_first.wait()
        async with locks.hold(lock, 2) as other:
            waiting = asyncio.ensure_future(other.execute(lock, 1))
            await locks.wait_for_blocked()
            # PostgreSQL looks for a deadlock once, after a wait of `deadlock_timeout`, here 0.2 s. The other
            # transaction must have looked before, so that the handler closes the circle and is the victim.
            await asyncio.sleep(1)
            go_on.set()
            await waiting
        await eventually(lambda: len(env.telemetry.processed_events) + len(env.telemetry.failures) > 0)
    assert len(tries) == 2
    assert env.telemetry.failures == []
