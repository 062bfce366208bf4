"""Stock is locked in the order of articles, whatever the order of lines and orders in a batch."""

import asyncio
import secrets
from uuid import uuid4

from devtools.servers.servers import Servers
from tests.events import order_created
from tests.integration.inventory.conftest import InventoryEnv
from tests.locks import LockProbe
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.testing import event_of


async def test_stock_is_locked_in_the_order_of_articles(servers: Servers, env: InventoryEnv) -> None:
    low, high = sorted(f"a-{secrets.token_hex(4)}" for _ in range(2))
    for sku in (high, low):
        await env.restocks.restock(sku, 5, None)
    lock = "SELECT FROM inventory.stock WHERE sku = $1 FOR UPDATE"
    locks = LockProbe(servers.postgres.endpoint.dsn(env.db.name))
    order = order_created((high, 1), (low, 1))
    async with locks.hold(lock, low):
        batch = asyncio.create_task(env.replicas[0].process(event_of(order, subject=uuid4())))
        await locks.wait_for_blocked()
        free = await locks.can_lock(lock, high)
    assert await batch == [Verdict.ACK]
    assert free, "the higher article is locked before the lower one"
