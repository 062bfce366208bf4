"""The tables `reservations` and `stock`.

Every transaction locks reservations first and stock second, each in the order of their keys, so two batches cannot
deadlock. An article in many orders of a batch is read and written once.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.inventory.domain import Reservation, ReservationState, StockItem
from services.shared.chassis.repository import Repository, columns, finished_orders_rule
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import Line, OrderCreated, Participant, concerns
from warren_messaging.postgres.retention import RetentionRule
from warren_messaging.transaction import Connection

_lines = msgspec.json.Decoder(list[Line])


class StockRepository(Repository[Reservation]):
    """The reservations of a batch, and the stock of all their articles. Handlers change `stock` in place."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.stock: dict[str, StockItem] = {}
        self._stored_stock: dict[str, StockItem] = {}

    async def load(self, events: Sequence[AnyEvent]) -> None:
        # The first phase of a cancellation asks shipping alone, so it must not even create a reservation here.
        concerned = [event for event in events if concerns(Participant.INVENTORY, event.data)]
        if not concerned:
            return
        await self._lock_reservations(sorted({event.subject for event in concerned}))
        skus = {line.sku for each in self._current.values() for line in each.lines}
        for event in concerned:
            if isinstance(event.data, OrderCreated):
                skus.update(line.sku for line in event.data.lines)
        if skus:
            await self._lock_stock(sorted(skus))

    async def save(self) -> None:
        if changed := self.changed:
            await self.connection.execute(
                "UPDATE reservations AS r SET state = new.state, paid = new.paid, lines = new.lines::jsonb,"
                " updated_at = now() FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::text[])"
                " AS new (order_id, state, paid, lines) WHERE r.order_id = new.order_id",
                *columns(
                    (each.order_id, each.state, each.paid, msgspec.json.encode(each.lines).decode()) for each in changed
                ),
            )
        items = [item for sku, item in sorted(self.stock.items()) if item != self._stored_stock[sku]]
        if items:
            await self.connection.execute(
                "UPDATE stock SET on_hand = new.on_hand, reserved = new.reserved, sold = new.sold"
                " FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])"
                " AS new (sku, on_hand, reserved, sold) WHERE stock.sku = new.sku",
                *columns((item.sku, item.on_hand, item.reserved, item.sold) for item in items),
            )

    async def _lock_reservations(self, order_ids: list[UUID]) -> None:
        # Of two concurrent transactions the second INSERT waits, and the SELECT after it reads the row of the first.
        await self.connection.execute(
            "INSERT INTO reservations (order_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", order_ids
        )
        rows = await self.connection.fetch(
            "SELECT order_id, state, paid, lines FROM reservations WHERE order_id = ANY($1::uuid[])"
            " ORDER BY order_id FOR UPDATE",
            order_ids,
        )
        self.add_loaded(
            Reservation(order_id, ReservationState(state), paid, _lines.decode(lines))
            for order_id, state, paid, lines in rows
        )

    async def _lock_stock(self, skus: list[str]) -> None:
        for row in await self.connection.fetch(
            "SELECT sku, on_hand, reserved, sold, received FROM stock WHERE sku = ANY($1::text[])"
            " ORDER BY sku FOR UPDATE",
            skus,
        ):
            self.stock[row["sku"]], self._stored_stock[row["sku"]] = StockItem(*row), StockItem(*row)


def retention_rules(history_days: int) -> list[RetentionRule]:
    finished = "t.state IN ('sold', 'out_of_stock', 'released')"
    return finished_orders_rule("reservations", finished, history_days, changed_at="updated_at")
