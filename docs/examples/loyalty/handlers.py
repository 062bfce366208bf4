"""Gives points for orders that are paid and completed. The library filters repeated events."""

from collections.abc import Iterable

from docs.examples.loyalty import domain
from docs.examples.loyalty.store import Earnings
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCompleted, OrderPaid
from warren_messaging import Handlers


async def on_order_paid(event: Event[OrderPaid], earnings: Earnings) -> Iterable[EventData]:
    earnings.put(domain.record_payment(earnings.of(event.subject), event.data.customer, event.data.total_cents))
    return ()


async def on_order_completed(event: Event[OrderCompleted], earnings: Earnings) -> Iterable[EventData]:
    earnings.put(domain.record_completion(earnings.of(event.subject), event.data.customer))
    return ()


HANDLERS: Handlers[Earnings] = {OrderPaid: on_order_paid, OrderCompleted: on_order_completed}
