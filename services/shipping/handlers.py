"""Event handlers and periodic jobs of the shipping service."""

from collections.abc import Iterable

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import (
    EXPRESS_PRIORITY,
    OrderCancelling,
    OrderDeliveryConfirmed,
    Participant,
    concerns,
)
from services.shared.contracts.payments import PaymentSuccess
from services.shipping import domain
from services.shipping.domain import Decision
from services.shipping.store import ShipmentRepository
from warren_messaging.handlers import Handlers


async def on_payment_success(event: Event[PaymentSuccess], repository: ShipmentRepository) -> Iterable[EventData]:
    shipment = repository.get(event.subject)
    return _apply(
        repository, domain.start_preparation(shipment, express=event.data.express, delays=repository.delays), event
    )


async def on_order_delivery_confirmed(
    event: Event[OrderDeliveryConfirmed], repository: ShipmentRepository
) -> Iterable[EventData]:
    return _apply(repository, domain.confirm(repository.get(event.subject)), event)


async def on_order_cancelling(event: Event[OrderCancelling], repository: ShipmentRepository) -> Iterable[EventData]:
    if not concerns(Participant.SHIPPING, event.data):
        return ()
    return _apply(repository, domain.stop(repository.get(event.subject)), event)


async def dispatch_due(repository: ShipmentRepository) -> int:
    """Let parcels leave whose preparation is over, express parcels first. Returns their number."""
    due = await repository.load_due_to_dispatch()
    for shipment in due:
        _apply(repository, domain.dispatch(shipment, repository.delays))
    return len(due)


async def deliver_due(repository: ShipmentRepository) -> int:
    """Report deliveries as the simulated carrier. Returns their number."""
    due = await repository.load_due_to_deliver()
    for shipment in due:
        _apply(repository, domain.deliver(shipment))
    return len(due)


def _apply(repository: ShipmentRepository, decision: Decision, cause: AnyEvent | None = None) -> Iterable[EventData]:
    """Apply a decision and announce its events, whose priority depends on the shipment. Returns no events."""
    shipment, _ = decision
    for data in repository.apply(decision):
        repository.announce(
            data,
            cause=cause,
            subject=shipment.order_id,
            reference=shipment.reference,
            priority=EXPRESS_PRIORITY if shipment.express else None,
            traceparent=shipment.traceparent if cause is None else None,
        )
    return ()


HANDLERS: Handlers[ShipmentRepository] = {
    PaymentSuccess: on_payment_success,
    OrderDeliveryConfirmed: on_order_delivery_confirmed,
    OrderCancelling: on_order_cancelling,
}
