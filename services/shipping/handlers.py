"""What the shipping service does about each event, and by the clock."""

from collections.abc import Iterable

from services.shared.contracts import Event, EventData
from services.shared.contracts.orders import OrderCancelling, OrderDeliveryConfirmed
from services.shared.contracts.payments import PaymentSuccess
from services.shared.messaging.handlers import Handlers
from services.shipping import domain
from services.shipping.domain import Outcome, Shipment
from services.shipping.store import Shipments


async def on_payment_success(event: Event[PaymentSuccess], shipments: Shipments) -> Iterable[EventData]:
    shipment = shipments.of(event.subject)
    return shipments.put(domain.pay(shipment, express=event.data.express, pace=shipments.pace))


async def on_order_delivery_confirmed(
    event: Event[OrderDeliveryConfirmed], shipments: Shipments
) -> Iterable[EventData]:
    return shipments.put(domain.confirm(shipments.of(event.subject)))


async def on_order_cancelling(event: Event[OrderCancelling], shipments: Shipments) -> Iterable[EventData]:
    if not domain.concerns(event.data):
        return ()
    return shipments.put(domain.stop(shipments.of(event.subject)))


async def prepare_due(shipments: Shipments) -> int:
    """Let the parcels leave whose waiting is over, express ones first."""
    due = await shipments.due_to_prepare()
    _announce(shipments, [(each, domain.prepare(each, shipments.pace)) for each in due])
    return len(due)


async def deliver_due(shipments: Shipments) -> int:
    """The simulated carrier reports."""
    due = await shipments.due_to_deliver()
    _announce(shipments, [(each, domain.deliver(each)) for each in due])
    return len(due)


def _announce(shipments: Shipments, outcomes: list[tuple[Shipment, Outcome]]) -> None:
    for shipment, outcome in outcomes:
        for data in shipments.put(outcome):
            shipments.announce(data, subject=shipment.order_id, reference=shipment.reference)


HANDLERS: Handlers[Shipments] = {
    PaymentSuccess: on_payment_success,
    OrderDeliveryConfirmed: on_order_delivery_confirmed,
    OrderCancelling: on_order_cancelling,
}
