"""Shelves are locked in the order of their articles, whatever order the lines and orders of a batch come in."""

import asyncio
import secrets
from uuid import uuid4

from devtools.servers.servers import Servers
from services.inventory.restocking import Restocking
from services.shared.contracts.orders import Line, OrderCreated
from tests.locks import LockProbe
from tests.service_replica import Replica, ServiceDatabase
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of


async def test_shelves_are_locked_in_the_order_of_their_articles(
    servers: Servers, db: ServiceDatabase, replicas: tuple[Replica, Replica], restocking: Restocking
) -> None:
    low, high = sorted(f"a-{secrets.token_hex(4)}" for _ in range(2))
    for sku in (high, low):
        await restocking.restock(sku, 5, None)
    lock = "SELECT FROM inventory.stock WHERE sku = $1 FOR UPDATE"
    locks = LockProbe(servers.postgres.address.dsn(db.name))
    lines = [Line(high, 1), Line(low, 1)]
    order = OrderCreated(customer="gayal", lines=lines, total_cents=2, currency="EUR", payment_token="tok_ok")
    async with locks.hold(lock, low):
        batch = asyncio.create_task(replicas[0].process(event_of(order, subject=uuid4())))
        await locks.wait_for_blocked()
        free = await locks.can_lock(lock, high)
    assert await batch == [Verdict.ACK]
    assert free, "the higher article is locked before the lower one"
