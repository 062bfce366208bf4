"""The table `assessments`, one row for each order."""

from collections.abc import Sequence

import msgspec

from services.fraud.domain import Assessment, RuleLimits
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import OrderCreated
from warren_messaging.postgres.retention import RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction

_encode = msgspec.json.Encoder().encode

# Each customer's rows are counted up to a limit: a customer with thousands of orders costs no more than others.
_COUNT = """
SELECT customer, (SELECT count(*) FROM (
    SELECT FROM assessments AS a WHERE a.customer = c.customer AND a.assessed_at > now() - interval '1 hour' LIMIT $2
) AS recent) FROM unnest($1::text[]) AS c (customer)
"""


class AssessmentRepository(Transaction):
    """`load` counts the earlier orders of the batch's customers; `add` collects assessments; `save` writes them.

    The first assessment of an order stays. Orders of one customer that two replicas assess at the same moment do not
    count each other.
    """

    def __init__(self, connection: Connection, limits: RuleLimits) -> None:
        super().__init__(connection)
        self.limits = limits
        self._earlier: dict[str, int] = {}
        self._added: list[Assessment] = []

    async def load(self, events: Sequence[AnyEvent]) -> None:
        customers = {event.data.customer for event in events if isinstance(event.data, OrderCreated)}
        if customers:
            rows = await self.connection.fetch(_COUNT, sorted(customers), self.limits.orders_per_hour)
            self._earlier = dict(rows)

    def earlier(self, customer: str) -> int:
        """Return how many other orders the customer placed within the last hour, counted up to the limit."""
        return self._earlier[customer]

    def add(self, assessment: Assessment) -> None:
        self._earlier[assessment.customer] += 1
        self._added.append(assessment)

    async def save(self) -> None:
        if not self._added:
            return
        rows = sorted(self._added, key=lambda each: each.order_id)
        await self.connection.execute(
            "INSERT INTO assessments (order_id, reference, customer, score, flagged, rules)"
            " SELECT o, r, c, s, f, x::jsonb FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[], $5::bool[],"
            " $6::text[]) AS t (o, r, c, s, f, x) ON CONFLICT DO NOTHING",
            [each.order_id for each in rows],
            [each.reference for each in rows],
            [each.customer for each in rows],
            [each.score for each in rows],
            [each.flagged for each in rows],
            [_encode(each.rules).decode() for each in rows],
        )


def retention_rules(days: int) -> list[RetentionRule]:
    """Return the rule that removes assessments older than `days`."""
    return [by_age("assessments", "t.assessed_at < now() - make_interval(days => $1)", days)]
