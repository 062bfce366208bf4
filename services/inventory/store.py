"""The reservations and shelves of one transaction: locked together, written back with one statement a table.

Everybody locks reservations first and shelves after them, each in the order of their keys, so two batches cannot
wait for each other in a circle. A shelf that a hundred orders of a batch want is read once and written once.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from services.inventory.domain import Decision, Reservation, Shelf, State
from services.shared.contracts import AnyEvent, EventData
from services.shared.contracts.orders import Line, OrderCancelling, OrderCreated, Participant
from warren_messaging.postgres.retention import NO_PENDING_MESSAGES, RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction

_lines = msgspec.json.Decoder(list[Line])


class Stockroom(Transaction):
    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.shelves: dict[str, Shelf] = {}
        self._before: dict[str, Shelf] = {}
        self._reservations: dict[UUID, Reservation] = {}
        self._changed: set[UUID] = set()

    async def load(self, events: Sequence[AnyEvent]) -> None:
        concerned = [event for event in events if _concerns_stock(event)]
        if not concerned:
            return
        await self._lock_reservations(sorted({event.subject for event in concerned}))
        wanted = {line.sku for each in self._reservations.values() for line in each.lines}
        for event in concerned:
            if isinstance(event.data, OrderCreated):
                wanted.update(line.sku for line in event.data.lines)
        if wanted:
            await self._lock_shelves(sorted(wanted))

    def reservation(self, order_id: UUID) -> Reservation:
        """One of those that the batch is about."""
        return self._reservations[order_id]

    def keep(self, decision: Decision) -> list[EventData]:
        """Take a decision over; returns what is to be announced."""
        reservation, events = decision
        if reservation != self._reservations[reservation.order_id]:
            self._reservations[reservation.order_id] = reservation
            self._changed.add(reservation.order_id)
        return events

    async def save(self) -> None:
        if self._changed:
            await self._save_reservations()
        changed = [shelf for sku, shelf in sorted(self.shelves.items()) if shelf != self._before[sku]]
        if changed:
            await self._save_shelves(changed)

    async def _lock_reservations(self, ids: list[UUID]) -> None:
        # Whoever inserts the row first is first; the other waits here and then reads what the first one wrote.
        await self.connection.execute(
            "INSERT INTO reservations (order_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING", ids
        )
        for row in await self.connection.fetch(
            "SELECT order_id, state, paid, lines FROM reservations WHERE order_id = ANY($1::uuid[])"
            " ORDER BY order_id FOR UPDATE",
            ids,
        ):
            order_id, state, paid, lines = row
            self._reservations[order_id] = Reservation(order_id, State(state), paid, _lines.decode(lines))

    async def _lock_shelves(self, skus: list[str]) -> None:
        for row in await self.connection.fetch(
            "SELECT sku, on_hand, reserved, sold, received FROM stock WHERE sku = ANY($1::text[])"
            " ORDER BY sku FOR UPDATE",
            skus,
        ):
            self.shelves[row["sku"]], self._before[row["sku"]] = Shelf(*row), Shelf(*row)

    async def _save_reservations(self) -> None:
        changed = [self._reservations[order_id] for order_id in sorted(self._changed)]
        await self.connection.execute(
            "UPDATE reservations AS r SET state = new.state, paid = new.paid, lines = new.lines::jsonb,"
            " updated_at = now() FROM unnest($1::uuid[], $2::text[], $3::bool[], $4::text[])"
            " AS new (order_id, state, paid, lines) WHERE r.order_id = new.order_id",
            [each.order_id for each in changed],
            [each.state for each in changed],
            [each.paid for each in changed],
            [msgspec.json.encode(each.lines).decode() for each in changed],
        )

    async def _save_shelves(self, changed: list[Shelf]) -> None:
        await self.connection.execute(
            "UPDATE stock SET on_hand = new.on_hand, reserved = new.reserved, sold = new.sold"
            " FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS new (sku, on_hand, reserved, sold)"
            " WHERE stock.sku = new.sku",
            [shelf.sku for shelf in changed],
            [shelf.on_hand for shelf in changed],
            [shelf.reserved for shelf in changed],
            [shelf.sold for shelf in changed],
        )


def _concerns_stock(event: AnyEvent) -> bool:
    """The first phase of a cancellation is shipping's alone: it must leave no trace here."""
    return not isinstance(event.data, OrderCancelling) or Participant.INVENTORY in event.data.participants


def retention_rules(history_days: int) -> list[RetentionRule]:
    """Reservations that are settled, unless `history_days` is 0."""
    settled = (
        "t.state IN ('sold', 'out_of_stock', 'released') AND t.updated_at < now() - make_interval(days => $1)"
        f" AND {NO_PENDING_MESSAGES.format(subject='t.order_id')}"
    )
    return [by_age("reservations", settled, history_days, subject="order_id")] if history_days else []
