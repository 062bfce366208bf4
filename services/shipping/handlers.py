"""What the shipping service does about each event, and by the clock."""

from collections.abc import Iterable

from services.shared.contracts import AnyEvent, Event, EventData
from services.shared.contracts.orders import EXPRESS_PRIORITY, OrderCancelling, OrderDeliveryConfirmed
from services.shared.contracts.payments import PaymentSuccess
from services.shipping import domain
from services.shipping.domain import Outcome
from services.shipping.store import Shipments
from warren_messaging.handlers import Handlers


async def on_payment_success(event: Event[PaymentSuccess], shipments: Shipments) -> Iterable[EventData]:
    shipment = shipments.of(event.subject)
    return _keep(shipments, domain.pay(shipment, express=event.data.express, pace=shipments.pace), event)


async def on_order_delivery_confirmed(
    event: Event[OrderDeliveryConfirmed], shipments: Shipments
) -> Iterable[EventData]:
    return _keep(shipments, domain.confirm(shipments.of(event.subject)), event)


async def on_order_cancelling(event: Event[OrderCancelling], shipments: Shipments) -> Iterable[EventData]:
    if not domain.concerns(event.data):
        return ()
    return _keep(shipments, domain.stop(shipments.of(event.subject)), event)


async def prepare_due(shipments: Shipments) -> int:
    """Let the parcels leave whose waiting is over, express ones first."""
    due = await shipments.due_to_prepare()
    for shipment in due:
        _keep(shipments, domain.prepare(shipment, shipments.pace))
    return len(due)


async def deliver_due(shipments: Shipments) -> int:
    """The simulated carrier reports."""
    due = await shipments.due_to_deliver()
    for shipment in due:
        _keep(shipments, domain.deliver(shipment))
    return len(due)


def _keep(shipments: Shipments, outcome: Outcome, cause: AnyEvent | None = None) -> Iterable[EventData]:
    """Keep the shipment and announce what is to be said, before others if it is an express one."""
    shipment, said = outcome
    shipments.put(shipment)
    for data in said:
        shipments.announce(
            data,
            cause=cause,
            subject=shipment.order_id,
            reference=shipment.reference,
            priority=EXPRESS_PRIORITY if shipment.express else None,
        )
    return ()


HANDLERS: Handlers[Shipments] = {
    PaymentSuccess: on_payment_success,
    OrderDeliveryConfirmed: on_order_delivery_confirmed,
    OrderCancelling: on_order_cancelling,
}
