"""Shipments in the database, a batch at a time. All waiting is measured by the database's clock."""

from collections.abc import Sequence
from uuid import UUID

from services.shared.contracts import AnyEvent
from services.shipping.domain import Pace, Shipment, State, concerns
from warren_messaging.postgres.retention import NO_PENDING_MESSAGES, RetentionRule, by_age
from warren_messaging.transaction import Connection, Transaction

ROUND = 200  # shipments a tick takes in one transaction

_COLUMNS = "order_id, reference, state, express, confirmed"

_SELECT = f"SELECT {_COLUMNS} FROM shipments WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE"  # noqa: S608

_DUE_TO_PREPARE = f"""
SELECT {_COLUMNS} FROM shipments WHERE state = 'waiting' AND prepare_at <= now()
ORDER BY express DESC, prepare_at LIMIT {ROUND} FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants

_DUE_TO_DELIVER = f"""
SELECT {_COLUMNS} FROM shipments WHERE state = 'prepared' AND deliver_at <= now()
ORDER BY deliver_at LIMIT {ROUND} FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - constants

# A time is set when its waiting begins, and never moved.
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


class Shipments(Transaction):
    """The shipments that a batch or a tick touches, locked until it ends."""

    def __init__(self, connection: Connection, pace: Pace) -> None:
        super().__init__(connection)
        self.pace = pace
        self._stored: dict[UUID, Shipment] = {}
        self._current: dict[UUID, Shipment] = {}

    def of(self, order_id: UUID) -> Shipment:
        return self._current[order_id]

    def put(self, shipment: Shipment) -> None:
        """Keep it; written by `save` if it differs from what is stored."""
        self._current[shipment.order_id] = shipment

    async def load(self, events: Sequence[AnyEvent]) -> None:
        references = {event.subject: event.reference for event in events if concerns(event.data)}
        if not references:
            return
        keys = sorted(references)
        # Two replicas may each have one of an order's first two events. The second one to insert waits here for
        # the first to commit, and then finds its row.
        await self.connection.execute(
            "INSERT INTO shipments (order_id, reference) SELECT * FROM unnest($1::uuid[], $2::text[])"
            " ON CONFLICT DO NOTHING",
            keys,
            [references[key] for key in keys],
        )
        await self._take(_SELECT, keys)

    async def due_to_prepare(self) -> list[Shipment]:
        return await self._take(_DUE_TO_PREPARE)

    async def due_to_deliver(self) -> list[Shipment]:
        return await self._take(_DUE_TO_DELIVER)

    async def save(self) -> None:
        changed = [shipment for key, shipment in self._current.items() if shipment != self._stored[key]]
        if changed:
            left = {State.PREPARED, State.DELIVERED}
            await self.connection.execute(
                _UPDATE,
                [shipment.order_id for shipment in changed],
                [shipment.state for shipment in changed],
                [shipment.tracking if shipment.state in left else None for shipment in changed],
                [shipment.express for shipment in changed],
                [shipment.confirmed for shipment in changed],
                self.pace.preparation,
                self.pace.carrier,
            )

    async def _take(self, query: str, *arguments: object) -> list[Shipment]:
        rows = await self.connection.fetch(query, *arguments)
        found = [
            Shipment(order_id, reference, State(state), express, confirmed)
            for order_id, reference, state, express, confirmed in rows
        ]
        self._stored |= {shipment.order_id: shipment for shipment in found}
        self._current |= {shipment.order_id: shipment for shipment in found}
        return found


def retention_rules(history_days: int) -> list[RetentionRule]:
    """Parcels that have arrived or never left, unless `history_days` is 0."""
    settled = (
        "t.state IN ('delivered', 'stopped') AND t.changed_at < now() - make_interval(days => $1)"
        f" AND {NO_PENDING_MESSAGES.format(subject='t.order_id')}"
    )
    return [by_age("shipments", settled, history_days, subject="order_id")] if history_days else []
