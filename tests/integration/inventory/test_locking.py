"""Shelves are locked in the order of their articles, whatever order the lines and orders of a batch come in."""

import asyncio
import secrets
from uuid import uuid4

from devtools.servers.servers import Servers
from services.inventory.restocking import Restocking
from services.shared.contracts.orders import Line, OrderCreated
from tests.locks import Locks
from tests.replica import Base, Replica
from tests.stage import event_of
from warren_messaging.consumer.processor import Verdict


async def test_shelves_are_locked_in_the_order_of_their_articles(
    servers: Servers, base: Base, replicas: tuple[Replica, Replica], restocking: Restocking
) -> None:
    low, high = sorted(f"a-{secrets.token_hex(4)}" for _ in range(2))
    for sku in (high, low):
        await restocking.restock(sku, 5, None)
    lock = "SELECT FROM inventory.stock WHERE sku = $1 FOR UPDATE"
    locks = Locks(servers.postgres.address.dsn(base.name))
    lines = [Line(high, 1), Line(low, 1)]
    order = OrderCreated(customer="gayal", lines=lines, total_cents=2, currency="EUR", payment_token="tok_ok")
    async with locks.held(lock, low):
        batch = asyncio.create_task(replicas[0].process(event_of(order, subject=uuid4())))
        await locks.somebody_waits()
        free = await locks.free(lock, high)
    assert await batch == [Verdict.DONE]
    assert free, "the higher article is locked before the lower one"
