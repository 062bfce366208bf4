"""The orders of one transaction: read and locked together, written back together.

Rows are locked in the order of their ids by everybody, and orders are never deleted, so two batches cannot wait
for each other in a circle.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from services.order import domain
from services.order.domain import Decision, Fact, Order, State
from services.shared.contracts import AnyEvent, EventData
from services.shared.contracts.orders import EXPRESS_PRIORITY, CancelReason
from warren_messaging.errors import PermanentError
from warren_messaging.transaction import Connection, Transaction

_COLUMNS = "id, customer, reference, total_cents, currency, express, facts, tracking, reason, reached, version"


class OrderBook(Transaction):
    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._orders: dict[UUID, Order] = {}
        self._references: dict[UUID, str | None] = {}
        self._changed: set[UUID] = set()

    async def load(self, events: Sequence[AnyEvent]) -> None:
        await self.lock({event.subject for event in events})

    async def lock(self, ids: Iterable[UUID]) -> None:
        """Read these orders for change. Ids that no order has are left out."""
        self._fill(
            await self.connection.fetch(
                f"SELECT {_COLUMNS} FROM orders WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE",  # noqa: S608
                sorted(ids),
            )
        )

    async def lock_overdue(self, limit: int) -> list[Order]:
        """Orders past their deadline by the database's clock that nobody else is working on."""
        return self._fill(
            await self.connection.fetch(
                f"SELECT {_COLUMNS} FROM orders WHERE deadline <= now()"  # noqa: S608
                " ORDER BY deadline LIMIT $1 FOR UPDATE SKIP LOCKED",
                limit,
            )
        )

    def order(self, identity: UUID) -> Order:
        """One of those that are locked. Raises PermanentError for an order that was never placed here: the order
        is stored before anything is said about it, so waiting would not help."""
        try:
            return self._orders[identity]
        except KeyError:
            raise PermanentError(f"no order {identity} was placed here") from None

    def find(self, identity: UUID) -> Order | None:
        """One of those that are locked, or None."""
        return self._orders.get(identity)

    def keep(self, decision: Decision) -> list[EventData]:
        """Take a decision over into the book; returns what is to be announced."""
        order, events = decision
        if order != self._orders[order.id]:
            self._orders[order.id] = order
            self._changed.add(order.id)
        return events

    def announce_about(self, order: Order, events: Iterable[EventData], *, traceparent: str | None = None) -> None:
        """Announce what no event of another service led to, in the trace of the request that did, if there is one."""
        for data in events:
            self.announce(
                data,
                subject=order.id,
                reference=self._references[order.id],
                priority=EXPRESS_PRIORITY if order.express else None,
                traceparent=traceparent,
            )

    async def save(self) -> None:
        if not self._changed:
            return
        orders = [self._orders[identity] for identity in sorted(self._changed)]
        await self.connection.execute(
            """
            UPDATE orders SET
                facts = string_to_array(new.facts, ','), tracking = new.tracking, reason = new.reason,
                reached = new.reached, state = new.state, version = new.version, updated_at = now(),
                deadline = CASE WHEN new.awaits_payment THEN deadline END
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::bool[])
                AS new (id, facts, tracking, reason, reached, state, version, awaits_payment)
            WHERE orders.id = new.id
            """,
            [order.id for order in orders],
            [",".join(sorted(order.facts)) for order in orders],
            [order.tracking for order in orders],
            [order.reason for order in orders],
            [order.reached for order in orders],
            [order.state for order in orders],
            [order.version for order in orders],
            [order.awaits_payment for order in orders],
        )

    def _fill(self, rows: Iterable[Any]) -> list[Order]:
        found = []
        for row in rows:
            order = Order(
                id=row["id"],
                customer=row["customer"],
                total_cents=row["total_cents"],
                currency=row["currency"],
                express=row["express"],
                facts=frozenset(Fact(fact) for fact in row["facts"]),
                tracking=row["tracking"],
                reason=CancelReason(row["reason"]) if row["reason"] else None,
                reached=State(row["reached"]),
                version=row["version"],
            )
            self._orders[order.id], self._references[order.id] = order, row["reference"]
            found.append(order)
        return found


async def expire_overdue(book: OrderBook, limit: int = 200) -> int:
    """Cancel orders whose time for paying is over; returns how many were found."""
    overdue = await book.lock_overdue(limit)
    for order in overdue:
        book.announce_about(order, book.keep(domain.expire(order)))
    return len(overdue)
