import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from uuid import UUID

import pytest

from services.inventory.handlers import HANDLERS
from services.inventory.restock_store import RestockStore
from services.inventory.store import StockRepository
from services.shared.contracts import AnyEvent
from tests.service_replica import Replica, ServiceDatabase
from tests.services import database_fixture, two_replicas

db = database_fixture("inventory")


class InventoryEnv:
    """Two replicas of the inventory service on one database."""

    def __init__(self, db: ServiceDatabase, replicas: tuple[Replica, Replica]) -> None:
        self.db, self.replicas = db, replicas
        self.restocks = RestockStore(replicas[0].database)

    async def article(self, pieces: int) -> str:
        """A new article in stock."""
        sku = f"a-{secrets.token_hex(4)}"
        await self.restocks.restock(sku, pieces, None)
        return sku

    async def counts(self, sku: str) -> tuple[int, int, int]:
        """Pieces on hand, reserved and sold."""
        query = "SELECT on_hand, reserved, sold FROM inventory.stock WHERE sku = $1"
        return tuple((await self.db.sql(query, sku))[0])

    async def state(self, order_id: UUID) -> str | None:
        rows = await self.db.sql("SELECT state FROM inventory.reservations WHERE order_id = $1", order_id)
        return rows[0][0] if rows else None

    async def published(self, order_id: UUID) -> list[AnyEvent]:
        return [event for event in await self.db.outbox_events("inventory") if event.subject == order_id]

    async def event_counts(self, events: Iterable[AnyEvent]) -> Counter[str]:
        """Published events about the orders of these events, by type."""
        subjects = {event.subject for event in events}
        return Counter(event.type for event in await self.db.outbox_events("inventory") if event.subject in subjects)

    async def assert_conserved(self) -> None:
        """The stock agrees with the reservations, piece by piece."""
        wrong = await self.db.sql(
            """
            WITH held AS (
                SELECT line->>'sku' AS sku,
                       sum((line->>'quantity')::int) FILTER (WHERE state = 'reserved') AS reserved,
                       sum((line->>'quantity')::int) FILTER (WHERE state = 'sold') AS sold
                FROM inventory.reservations, jsonb_array_elements(lines) AS line GROUP BY 1
            )
            SELECT s.*, held.* FROM inventory.stock s LEFT JOIN held USING (sku)
            WHERE s.reserved <> coalesce(held.reserved, 0) OR s.sold <> coalesce(held.sold, 0)
            """
        )
        assert wrong == []


@pytest.fixture
async def env(db: ServiceDatabase) -> AsyncIterator[InventoryEnv]:
    async with two_replicas(db, "inventory", HANDLERS, StockRepository) as replicas:
        yield InventoryEnv(db, replicas)
