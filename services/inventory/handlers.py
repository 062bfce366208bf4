"""What the inventory service reacts to."""

from collections.abc import Iterable

from services.inventory import domain
from services.inventory.store import Stockroom
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCancelling, OrderCreated, Participant
from services.shared.contracts.payments import PaymentSuccess
from warren_messaging.handlers import Handlers

Events = Iterable[EventData]


async def on_order_created(event: Event[OrderCreated], stockroom: Stockroom) -> Events:
    reservation = stockroom.reservation(event.subject)
    return stockroom.keep(domain.create(reservation, event.data, stockroom.shelves))


async def on_payment_success(event: Event[PaymentSuccess], stockroom: Stockroom) -> Events:
    return stockroom.keep(domain.pay(stockroom.reservation(event.subject), stockroom.shelves))


async def on_order_cancelling(event: Event[OrderCancelling], stockroom: Stockroom) -> Events:
    if Participant.INVENTORY not in event.data.participants:
        return []
    return stockroom.keep(domain.release(stockroom.reservation(event.subject), stockroom.shelves))


HANDLERS: Handlers[Stockroom] = {
    OrderCreated: on_order_created,
    PaymentSuccess: on_payment_success,
    OrderCancelling: on_order_cancelling,
}
