"""The earnings of one transaction: locked in the order of their keys, written back in one statement."""

from collections.abc import Sequence
from uuid import UUID

from docs.examples.loyalty.domain import Earning
from services.shared.contracts import AnyEvent
from warren_messaging import Connection, Database, Transaction


class Earnings(Transaction):
    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._earnings: dict[UUID, Earning] = {}
        self._changed: set[UUID] = set()

    def of(self, order_id: UUID) -> Earning:
        """Return the earning of an order in the batch."""
        return self._earnings[order_id]

    def put(self, earning: Earning) -> None:
        self._earnings[earning.order_id] = earning
        self._changed.add(earning.order_id)

    async def load(self, events: Sequence[AnyEvent]) -> None:
        orders = sorted({event.subject for event in events})
        await self.connection.execute(
            "INSERT INTO earnings (order_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", orders
        )
        rows = await self.connection.fetch(
            "SELECT order_id, customer, cents, completed FROM earnings WHERE order_id = ANY($1)"
            " ORDER BY order_id FOR UPDATE",
            orders,
        )
        self._earnings = {row["order_id"]: Earning(**row) for row in rows}

    async def save(self) -> None:
        changed = [self._earnings[order_id] for order_id in sorted(self._changed)]
        await self.connection.execute(
            "UPDATE earnings AS e SET customer = n.customer, cents = n.cents, completed = n.completed,"
            " points = n.points FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bool[], $5::bigint[])"
            " AS n (order_id, customer, cents, completed, points) WHERE e.order_id = n.order_id",
            [each.order_id for each in changed],
            [each.customer for each in changed],
            [each.cents for each in changed],
            [each.completed for each in changed],
            [each.points for each in changed],
        )


async def points_of(database: Database, customer: str) -> int:
    """Return the sum of a customer's points; 0 for an unknown customer."""
    async with database.connection() as connection:
        return int(
            await connection.fetchval("SELECT coalesce(sum(points), 0) FROM earnings WHERE customer = $1", customer)
        )
