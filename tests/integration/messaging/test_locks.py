"""Rows are locked in the order of their keys, whatever order messages come in: two batches never wait in a circle.

Shown by what a transaction has locked while it waits for its lowest key: nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import pytest

from services.shared.contracts.orders import OrderConfirmed
from services.shared.messaging import Transaction, inbox
from services.shared.messaging.outbox import Outbox
from tests.locks import Locks
from tests.stage import Stage

LOW, HIGH = UUID(int=1), UUID(int=2)


async def remember(outbox: Outbox) -> None:
    async with outbox.transaction(Transaction) as work:
        await inbox.remember(work.connection, "probe", [HIGH, LOW])


async def announce(outbox: Outbox) -> None:
    async with outbox.transaction(Transaction) as work:
        for subject in (HIGH, LOW):
            work.announce(OrderConfirmed(customer="gayal"), subject=subject)


async def waits_with_nothing_in_hand(stage: Stage, run: Callable[[Outbox], Awaitable[None]], insert: str) -> None:
    locks = Locks(stage.servers.postgres.address.dsn(stage.database_name))
    async with stage.outbox() as outbox:
        async with locks.held(insert, LOW):
            running = asyncio.ensure_future(run(outbox))
            await locks.somebody_waits()
            free = await locks.free(insert, HIGH)
        with suppress(TimeoutError):
            await running
    assert free, "the higher key is locked before the lower one"


async def test_the_inbox_is_locked_in_the_order_of_its_keys(stage: Stage) -> None:
    insert = "INSERT INTO probe.inbox (consumer, logical_id) VALUES ('probe', $1)"
    await waits_with_nothing_in_hand(stage, remember, insert)


@pytest.mark.parametrize("known", [True, False])
async def test_counters_are_locked_in_the_order_of_their_keys(stage: Stage, known: bool) -> None:
    if known:
        await stage.sql("INSERT INTO sequences VALUES ($1, 1), ($2, 1)", LOW, HIGH)
    insert = "INSERT INTO probe.sequences AS s VALUES ($1, 1) ON CONFLICT (subject) DO UPDATE SET last = s.last + 1"
    await waits_with_nothing_in_hand(stage, announce, insert)
