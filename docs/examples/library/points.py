"""Counts points of customers. `python points.py` reads POINTS_BROKER_URL and POINTS_DATABASE_URL."""

from collections.abc import Iterable
from typing import ClassVar

from warren_messaging import Event, EventData, Service, Transaction


class OrderPaid(EventData, frozen=True):
    TYPE: ClassVar[str] = "order.paid"
    customer: str
    total_cents: int


async def on_order_paid(event: Event[OrderPaid], uow: Transaction) -> Iterable[EventData]:
    await uow.connection.execute(
        "INSERT INTO points AS p VALUES ($1, $2) ON CONFLICT (customer) DO UPDATE SET points = p.points + $2",
        event.data.customer,
        event.data.total_cents // 100,
    )
    return ()


service = Service.from_environment("points", prefix="POINTS_")
service.consume("points.queue", {OrderPaid: on_order_paid})

if __name__ == "__main__":
    service.run()
