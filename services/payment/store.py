"""The table `payments`."""

from collections.abc import Sequence

from msgspec.structs import astuple

from services.payment.domain import Payment, PaymentState
from services.shared.chassis.repository import Repository, columns, finished_orders_rule
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import Participant, concerns
from warren_messaging.postgres.retention import RetentionRule

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


class PaymentRepository(Repository[Payment]):
    async def load(self, events: Sequence[AnyEvent]) -> None:
        order_ids = sorted({event.subject for event in events if concerns(Participant.PAYMENT, event.data)})
        if not order_ids:
            return
        # Two replicas may each process one of an order's first two events. The second INSERT waits for the commit of
        # the first, so the SELECT after it finds the row.
        await self.connection.execute(
            "INSERT INTO payments (order_id, state) SELECT unnest($1::uuid[]), 'new' ON CONFLICT DO NOTHING", order_ids
        )
        rows = await self.connection.fetch(_SELECT, order_ids)
        self.add_loaded(Payment(order_id, PaymentState(state), *rest) for order_id, state, *rest in rows)

    async def save(self) -> None:
        if changed := self.changed:
            await self.connection.execute(_UPDATE, *columns(map(astuple, changed)))


def retention_rules(history_days: int) -> list[RetentionRule]:
    return finished_orders_rule("payments", "t.state IN ('paid', 'failed', 'voided', 'refunded')", history_days)
