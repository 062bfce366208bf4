"""Goods that arrive, and reading what is there."""

from enum import Enum, auto

import msgspec

from warren_messaging.postgres.database import Database

MOST_PIECES = 1_000_000  # in one delivery

_COLUMNS = "sku, on_hand, reserved, sold, received"


class StockAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The pieces of one article: onHand + reserved + sold = received."""

    sku: str
    on_hand: int
    reserved: int
    sold: int
    received: int


class Refusal(Enum):
    KEY_REUSED = auto()
    """The Idempotency-Key came with another delivery before."""


class Restocking:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def article(self, sku: str) -> StockAnswer | None:
        async with self._database.connection() as connection:
            row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM stock WHERE sku = $1", sku)  # noqa: S608
        return None if row is None else StockAnswer(*row)

    async def articles(self, *, after: str, limit: int) -> list[StockAnswer]:
        """In the order of their numbers, from the one after `after` on."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                f"SELECT {_COLUMNS} FROM stock WHERE sku > $1 ORDER BY sku LIMIT $2",  # noqa: S608
                after,
                limit,
            )
        return [StockAnswer(*row) for row in rows]

    async def restock(self, sku: str, quantity: int, key: str | None) -> StockAnswer | Refusal:
        """Add pieces to the shelf; an article that was never here gets one. With a key, at most once."""
        async with self._database.transaction() as connection:
            if key is not None and not await connection.fetchval(
                "INSERT INTO restocks (key, sku, quantity) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING true",
                key,
                sku,
                quantity,
            ):
                said = await connection.fetchrow("SELECT sku, quantity, answer FROM restocks WHERE key = $1", key)
                if said is None or (said["sku"], said["quantity"]) != (sku, quantity):
                    return Refusal.KEY_REUSED
                return msgspec.json.decode(said["answer"], type=StockAnswer)
            row = await connection.fetchrow(
                "INSERT INTO stock AS s (sku, on_hand, reserved, sold, received) VALUES ($1, $2, 0, 0, $2)"
                " ON CONFLICT (sku) DO UPDATE SET on_hand = s.on_hand + $2, received = s.received + $2"
                " RETURNING sku, on_hand, reserved, sold, received",
                sku,
                quantity,
            )
            if row is None:
                raise AssertionError("an upsert returns its row")
            answer = StockAnswer(*row)
            if key is not None:
                await connection.execute(
                    "UPDATE restocks SET answer = $2::jsonb WHERE key = $1", key, msgspec.json.encode(answer).decode()
                )
        return answer
