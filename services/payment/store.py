"""Payments in the database, a batch at a time."""

from collections.abc import Sequence
from uuid import UUID

from services.payment.domain import Payment, State, concerns
from services.shared.contracts import AnyEvent
from warren_messaging.postgres.retention import NO_PENDING_MESSAGES, RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction

_SELECT = """
SELECT order_id, state, amount_cents, currency, charge_id, code
FROM payments WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE
"""

_UPDATE = """
UPDATE payments AS p
SET state = n.state, amount_cents = n.amount_cents, currency = n.currency, charge_id = n.charge_id, code = n.code,
    changed_at = now()
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[])
    AS n (order_id, state, amount_cents, currency, charge_id, code)
WHERE p.order_id = n.order_id
"""


class Payments(Transaction):
    """The payments that a batch touches, locked until it ends."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._stored: dict[UUID, Payment] = {}
        self._current: dict[UUID, Payment] = {}

    def of(self, order_id: UUID) -> Payment:
        return self._current[order_id]

    def put(self, payment: Payment) -> Payment:
        """Keep it; written by `save` if it differs from what is stored."""
        self._current[payment.order_id] = payment
        return payment

    async def load(self, events: Sequence[AnyEvent]) -> None:
        keys = sorted({event.subject for event in events if concerns(event.data)})
        if not keys:
            return
        # Two replicas may each have one of an order's first two events. The second one to insert waits here for
        # the first to commit, and then finds its row.
        await self.connection.execute(
            "INSERT INTO payments (order_id, state) SELECT unnest($1::uuid[]), 'new' ON CONFLICT DO NOTHING", keys
        )
        for order_id, state, *rest in await self.connection.fetch(_SELECT, keys):
            self._stored[order_id] = Payment(order_id, State(state), *rest)
        self._current = dict(self._stored)

    async def save(self) -> None:
        changed = [payment for key, payment in self._current.items() if payment != self._stored[key]]
        if changed:
            await self.connection.execute(
                _UPDATE,
                [payment.order_id for payment in changed],
                [payment.state for payment in changed],
                [payment.amount_cents for payment in changed],
                [payment.currency for payment in changed],
                [payment.charge_id for payment in changed],
                [payment.code for payment in changed],
            )


def retention_rules(history_days: int) -> list[RetentionRule]:
    """Payments that are settled, unless `history_days` is 0."""
    settled = (
        "t.state IN ('paid', 'failed', 'voided', 'refunded') AND t.changed_at < now() - make_interval(days => $1)"
        f" AND {NO_PENDING_MESSAGES.format(subject='t.order_id')}"
    )
    return [by_age("payments", settled, history_days, subject="order_id")] if history_days else []
