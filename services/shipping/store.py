"""The table `shipments`. Delays are measured by the database's clock."""

from collections.abc import Sequence

from services.shared.chassis.repository import Repository, columns, finished_orders_rule
from services.shared.contracts import AnyEvent
from services.shared.contracts.orders import Participant, concerns
from services.shipping.domain import Delays, Shipment, ShipmentState
from warren_messaging.postgres.retention import RetentionRule
from warren_messaging.transaction import Connection

BATCH = 200  # shipments of one periodic job in one transaction

_COLUMNS = "order_id, reference, state, express, confirmed, traceparent"

_SELECT = f"SELECT {_COLUMNS} FROM shipments WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE"  # noqa: S608

_DUE_TO_DISPATCH = f"""
SELECT {_COLUMNS} FROM shipments WHERE state = 'waiting' AND prepare_at <= now()
ORDER BY express DESC, prepare_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants

_DUE_TO_DELIVER = f"""
SELECT {_COLUMNS} FROM shipments WHERE state = 'prepared' AND deliver_at <= now()
ORDER BY deliver_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants

# prepare_at and deliver_at are set when the delay begins, and never changed.
_UPDATE = """
UPDATE shipments AS s
SET state = n.state, tracking = n.tracking, express = n.express, confirmed = n.confirmed, changed_at = now(),
    prepare_at = CASE n.state WHEN 'waiting'
        THEN coalesce(s.prepare_at, now() + make_interval(secs => $6::float8)) ELSE s.prepare_at END,
    deliver_at = CASE n.state WHEN 'prepared'
        THEN coalesce(s.deliver_at, now() + make_interval(secs => $7::float8)) ELSE s.deliver_at END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[], $5::bool[])
    AS n (order_id, state, tracking, express, confirmed)
WHERE s.order_id = n.order_id
"""


class ShipmentRepository(Repository[Shipment]):
    def __init__(self, connection: Connection, delays: Delays) -> None:
        super().__init__(connection)
        self.delays = delays

    async def load(self, events: Sequence[AnyEvent]) -> None:
        firsts = {
            event.subject: (event.reference, event.traceparent)
            for event in events
            if concerns(Participant.SHIPPING, event.data)
        }
        if not firsts:
            return
        # Two replicas may each process one of an order's first two events. The second INSERT waits for the commit of
        # the first, so the SELECT after it finds the row.
        await self.connection.execute(
            "INSERT INTO shipments (order_id, reference, traceparent)"
            " SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) ON CONFLICT DO NOTHING",
            *columns((key, *firsts[key]) for key in sorted(firsts)),
        )
        await self._select(_SELECT, sorted(firsts))

    async def load_due_to_dispatch(self) -> list[Shipment]:
        return await self._select(_DUE_TO_DISPATCH)

    async def load_due_to_deliver(self) -> list[Shipment]:
        return await self._select(_DUE_TO_DELIVER)

    async def save(self) -> None:
        left = {ShipmentState.LEFT, ShipmentState.DELIVERED}
        rows = [
            (each.order_id, each.state, each.tracking if each.state in left else None, each.express, each.confirmed)
            for each in self.changed
        ]
        if rows:
            await self.connection.execute(_UPDATE, *columns(rows), self.delays.preparation, self.delays.carrier)

    async def _select(self, query: str, *arguments: object) -> list[Shipment]:
        rows = await self.connection.fetch(query, *arguments)
        found = [
            Shipment(order_id, reference, ShipmentState(state), *rest) for order_id, reference, state, *rest in rows
        ]
        self.add_loaded(found)
        return found


def retention_rules(history_days: int) -> list[RetentionRule]:
    return finished_orders_rule("shipments", "t.state IN ('delivered', 'stopped')", history_days)
