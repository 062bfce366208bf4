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


async def on_payment_success(event: Event[PaymentSuccess], shipments: ShipmentRepository) -> Iterable[EventData]:
    shipment = shipments.get(event.subject)
    return _apply(shipments, domain.pay(shipment, express=event.data.express, delays=shipments.delays), event)


async def on_order_delivery_confirmed(
    event: Event[OrderDeliveryConfirmed], shipments: ShipmentRepository
) -> Iterable[EventData]:
    return _apply(shipments, domain.confirm(shipments.get(event.subject)), event)


async def on_order_cancelling(event: Event[OrderCancelling], shipments: ShipmentRepository) -> Iterable[EventData]:
    if not concerns(Participant.SHIPPING, event.data):
        return ()
    return _apply(shipments, domain.stop(shipments.get(event.subject)), event)


async def prepare_due(shipments: ShipmentRepository) -> int:
    """Lets parcels leave whose preparation is over, express parcels first. Returns their number."""
    due = await shipments.load_due_to_prepare()
    for shipment in due:
        _apply(shipments, domain.prepare(shipment, shipments.delays))
    return len(due)


async def deliver_due(shipments: ShipmentRepository) -> int:
    """Reports deliveries as the simulated carrier. Returns their number."""
    due = await shipments.load_due_to_deliver()
    for shipment in due:
        _apply(shipments, domain.deliver(shipment))
    return len(due)


def _apply(shipments: ShipmentRepository, decision: Decision, cause: AnyEvent | None = None) -> Iterable[EventData]:
    """Announces the events here, since their priority depends on the shipment; so the handler returns none."""
    shipment, _ = decision
    for data in shipments.apply(decision):
        shipments.announce(
            data,
            cause=cause,
            subject=shipment.order_id,
            reference=shipment.reference,
            priority=EXPRESS_PRIORITY if shipment.express else None,
        )
    return ()


HANDLERS: Handlers[ShipmentRepository] = {
    PaymentSuccess: on_payment_success,
    OrderDeliveryConfirmed: on_order_delivery_confirmed,
    OrderCancelling: on_order_cancelling,
}
