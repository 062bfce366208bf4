"""Event handlers of the inventory service."""

from collections.abc import Iterable

from services.inventory import domain
from services.inventory.store import StockRepository
from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCancelling, OrderCreated, Participant, concerns
from services.shared.contracts.payments import PaymentSuccess
from warren_messaging.handlers import Handlers

Events = Iterable[EventData]


async def on_order_created(event: Event[OrderCreated], repository: StockRepository) -> Events:
    reservation = repository.get(event.subject)
    return repository.apply(domain.reserve(reservation, event.data, repository.stock))


async def on_payment_success(event: Event[PaymentSuccess], repository: StockRepository) -> Events:
    return repository.apply(domain.commit(repository.get(event.subject), repository.stock))


async def on_order_cancelling(event: Event[OrderCancelling], repository: StockRepository) -> Events:
    if not concerns(Participant.INVENTORY, event.data):
        return []
    return repository.apply(domain.release(repository.get(event.subject), repository.stock))


HANDLERS: Handlers[StockRepository] = {
    OrderCreated: on_order_created,
    PaymentSuccess: on_payment_success,
    OrderCancelling: on_order_cancelling,
}
