"""The tables `stock` and `restocks`, for the warehouse: read the stock, and add pieces that arrive."""

from collections.abc import Mapping

import msgspec

from services.inventory.domain import StockItem
from warren_messaging.postgres.database import Database
from warren_messaging.transaction import Transaction

_COLUMNS = "sku, on_hand, reserved, sold, received"


class RestockKeyReused(Exception):
    """The idempotency key was used before with another article or quantity."""


class RestockStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, sku: str) -> StockItem | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM stock WHERE sku = $1", sku)  # noqa: S608
        return None if row is None else StockItem(*row)

    async def page(self, *, after: str, limit: int) -> list[StockItem]:
        """The first `limit` articles after the article `after`, by article number."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM stock WHERE sku > $1 ORDER BY sku LIMIT $2",  # noqa: S608
                after,
                limit,
            )
        return [StockItem(*row) for row in rows]

    async def restock(self, sku: str, quantity: int, key: str | None) -> StockItem:
        """Adds pieces, of a new article too. With an idempotency key at most once; raises RestockKeyReused."""
        async with self._database.transaction() as connection:
            if key is not None and not await connection.fetchval(
                "INSERT INTO restocks (key, sku, quantity) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
                key,
                sku,
                quantity,
            ):
                earlier = await connection.fetchrow("SELECT sku, quantity, answer FROM restocks WHERE key = $1", key)
                if earlier is None or (earlier["sku"], earlier["quantity"]) != (sku, quantity):
                    raise RestockKeyReused(key)
                return msgspec.json.decode(earlier["answer"], type=StockItem)
            row = await connection.fetchrow(
                "INSERT INTO stock AS s (sku, on_hand, reserved, sold, received) VALUES ($1, $2, 0, 0, $2)"
                " ON CONFLICT (sku) DO UPDATE SET on_hand = s.on_hand + $2, received = s.received + $2"
                " RETURNING sku, on_hand, reserved, sold, received",
                sku,
                quantity,
            )
            if row is None:
                raise AssertionError("an upsert returns its row")
            item = StockItem(*row)
            if key is not None:
                await connection.execute(
                    "UPDATE restocks SET answer = $2::jsonb WHERE key = $1", key, msgspec.json.encode(item).decode()
                )
        return item


async def add_opening_stock(uow: Transaction, *, stock: Mapping[str, int]) -> int:
    """Adds the articles that are not in stock yet. Known articles stay as they are, so any replica may call it."""
    await uow.connection.execute(
        "INSERT INTO stock (sku, on_hand, reserved, sold, received)"
        " SELECT sku, pieces, 0, 0, pieces FROM unnest($1::text[], $2::bigint[]) AS new (sku, pieces)"
        " ORDER BY sku ON CONFLICT DO NOTHING",
        list(stock),
        list(stock.values()),
    )
    return 0
