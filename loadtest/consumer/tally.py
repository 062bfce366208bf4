"""The probe's state and its one handler: the least that a service of the shop does."""

from collections.abc import Sequence
from uuid import UUID

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import OrderConfirmed, OrderCreated
from warren_messaging.handlers import Handlers
from warren_messaging.transaction import Connection, Transaction

SCHEMA = "CREATE TABLE tallies (order_id uuid PRIMARY KEY, events integer NOT NULL)"


class Tally(Transaction):
    """One row for each order, locked and written in one statement each: what the shop's services do at least."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.events: dict[UUID, int] = {}

    async def load(self, events: Sequence[AnyEvent]) -> None:
        ids = sorted({event.subject for event in events})
        await self.connection.execute(
            "INSERT INTO tallies (order_id, events) SELECT unnest($1::uuid[]), 0 ON CONFLICT DO NOTHING", ids
        )
        rows = await self.connection.fetch(
            "SELECT order_id, events FROM tallies WHERE order_id = ANY($1::uuid[]) ORDER BY order_id FOR UPDATE", ids
        )
        self.events = {row[0]: row[1] for row in rows}

    async def save(self) -> None:
        await self.connection.execute(
            "UPDATE tallies AS t SET events = new.events FROM unnest($1::uuid[], $2::int[]) AS new (order_id, events)"
            " WHERE t.order_id = new.order_id",
            list(self.events),
            list(self.events.values()),
        )


async def on_order_created(event: Event[OrderCreated], tally: Tally) -> list[EventData]:
    tally.events[event.subject] += 1
    return [OrderConfirmed(customer=event.data.customer)]


HANDLERS: Handlers[Tally] = {OrderCreated: on_order_created}
