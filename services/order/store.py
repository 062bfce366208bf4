"""The table `orders`.

Every transaction locks orders in the order of their ids, so two batches cannot deadlock.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from services.order import domain
from services.order.domain import Decision, Fact, Order, OrderState
from services.shared.chassis.repository import Repository, columns, finished_orders_rule
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import EXPRESS_PRIORITY, CancelReason, OrderPaymentReminder
from warren_messaging.errors import PermanentError
from warren_messaging.postgres.retention import RetentionRule, by_age
from warren_messaging.transaction import Connection

_COLUMNS = (
    "id, customer, reference, total_cents, currency, express, facts, tracking, reason, reached, version, traceparent"
)


class OrderRepository(Repository[Order]):
    async def load(self, events: Sequence[AnyEvent]) -> None:
        await self.lock({event.subject for event in events})

    async def lock(self, order_ids: Iterable[UUID]) -> None:
        """Loads these orders, without unknown ids."""
        self._load(
            await self.connection.fetch(
                f"SELECT {_COLUMNS} FROM orders WHERE id = ANY($1::uuid[]) ORDER BY id FOR UPDATE",  # noqa: S608
                sorted(order_ids),
            )
        )

    async def lock_overdue(self, limit: int) -> list[Order]:
        """Loads orders past their deadline by the database's clock, without those that another transaction holds."""
        return self._load(
            await self.connection.fetch(
                f"SELECT {_COLUMNS} FROM orders WHERE deadline <= now()"  # noqa: S608
                " ORDER BY deadline LIMIT $1 FOR UPDATE SKIP LOCKED",
                limit,
            )
        )

    def get(self, order_id: UUID) -> Order:
        """Raises PermanentError for an unknown order: it is stored before any event about it, so no retry helps."""
        try:
            return super().get(order_id)
        except KeyError:
            raise PermanentError(f"unknown order {order_id}") from None

    def decides(self, order_id: UUID) -> bool:
        """Whether this transaction decides an order that was not decided before it."""
        return not self._stored[order_id].decided and self._current[order_id].decided

    def find(self, order_id: UUID) -> Order | None:
        return self._current.get(order_id)

    def apply_and_announce(self, decision: Decision, *, traceparent: str | None = None) -> None:
        """Apply a decision that no event caused. Its events continue the trace `traceparent`."""
        order, _ = decision
        for data in self.apply(decision):
            self.announce(
                data,
                subject=order.order_id,
                reference=order.reference,
                priority=EXPRESS_PRIORITY if order.express else None,
                traceparent=traceparent,
            )

    async def save(self) -> None:
        for order in self.changed:
            if self._stored[order.order_id].awaits_payment and not order.awaits_payment:
                self.cancel_scheduled_about(order.order_id, OrderPaymentReminder)
        rows = [
            (
                order.order_id,
                ",".join(sorted(order.facts)),
                order.tracking,
                order.reason,
                order.reached,
                order.state,
                order.version,
                order.awaits_payment,
            )
            for order in self.changed
        ]
        if rows:
            await self.connection.execute(
                """
                UPDATE orders SET
                    facts = string_to_array(new.facts, ','), tracking = new.tracking, reason = new.reason,
                    reached = new.reached, state = new.state, version = new.version, updated_at = now(),
                    deadline = CASE WHEN new.awaits_payment THEN deadline END
                FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[],
                    $8::bool[]) AS new (id, facts, tracking, reason, reached, state, version, awaits_payment)
                WHERE orders.id = new.id
                """,
                *columns(rows),
            )

    def _load(self, rows: Iterable[Any]) -> list[Order]:
        found = [
            Order(
                order_id=row["id"],
                customer=row["customer"],
                reference=row["reference"],
                total_cents=row["total_cents"],
                currency=row["currency"],
                express=row["express"],
                facts=frozenset(Fact(fact) for fact in row["facts"]),
                tracking=row["tracking"],
                reason=CancelReason(row["reason"]) if row["reason"] else None,
                reached=OrderState(row["reached"]),
                version=row["version"],
                traceparent=row["traceparent"],
            )
            for row in rows
        ]
        self.add_loaded(found)
        return found


async def expire_overdue(orders: OrderRepository, limit: int = 200) -> int:
    """Cancels unpaid orders past their deadline. Returns how many orders were past it."""
    overdue = await orders.lock_overdue(limit)
    for order in overdue:
        orders.apply_and_announce(domain.expire(order), traceparent=order.traceparent)
    return len(overdue)


async def outbox_exceeds(connection: Connection, limit: int) -> bool:
    """Whether the outbox holds more than `limit` events. Reads no more rows than needed."""
    query = "SELECT count(*) > $1::bigint FROM (SELECT FROM outbox LIMIT $1::bigint + 1) AS waiting"
    return bool(await connection.fetchval(query, limit))


def retention_rules(idempotency_days: int, history_days: int) -> list[RetentionRule]:
    """Return the rules that remove idempotency keys, and finished orders unless `history_days` is 0."""
    keys = by_age("idempotency_keys", "t.created_at < now() - make_interval(days => $1)", idempotency_days)
    finished = (
        "t.finished"
        # A key must have its order, which is the response to a repeated request.
        " AND NOT EXISTS (SELECT FROM idempotency_keys AS k WHERE k.customer = t.customer AND k.order_id = t.id)"
    )
    return [keys, *finished_orders_rule("orders", finished, history_days, changed_at="updated_at", key="id")]
