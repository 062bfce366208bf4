"""The parcel of one order: its state, and the transitions that each new fact causes.

Three facts arrive in any order: the order is paid, the order is being cancelled, the customer has the parcel. Leaving
and stopping exclude each other and the first one is final: a parcel that has left refuses to be stopped, a stopped
parcel never leaves.
"""

from enum import StrEnum
from uuid import UUID

import msgspec

from services.shared.contracts import EventData
from services.shared.contracts.shipping import ShippingDelivered, ShippingPrepared, ShippingRefused, ShippingStopped

_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's alphabet, without I, L, O and U


class ShipmentState(StrEnum):
    UNPAID = "unpaid"
    """Known only from a fact that arrived before the payment."""
    WAITING = "waiting"
    """Paid; the parcel has not left."""
    LEFT = "prepared"
    """The parcel has left. The stored value is that of the event `shipping.prepared`."""
    DELIVERED = "delivered"
    STOPPED = "stopped"
    """The parcel never leaves, whatever arrives later."""


class Delays(msgspec.Struct, frozen=True):
    """Durations in seconds; 0 means within the same transaction."""

    preparation: float = 0
    carrier: float | None = None
    """None: no carrier reports the delivery, only the customer."""


class Shipment(msgspec.Struct, frozen=True):
    order_id: UUID
    reference: str | None = None
    state: ShipmentState = ShipmentState.UNPAID
    express: bool = False
    confirmed: bool = False
    """The customer has confirmed the delivery, perhaps before shipping knew that the order is paid."""
    traceparent: str | None = None
    """The trace context of the order's first event here."""

    @property
    def tracking(self) -> str:
        """`WR` and the order's id in 26 characters of base 32, 5 bits each: unique and readable aloud."""
        number = self.order_id.int
        return "WR" + "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


Decision = tuple[Shipment, list[EventData]]
"""The shipment after a fact, and the events to publish."""


def start_preparation(shipment: Shipment, *, express: bool, delays: Delays) -> Decision:
    """Start the preparation of a paid parcel; without a preparation delay it leaves at once."""
    if shipment.state is not ShipmentState.UNPAID:
        return shipment, []
    waiting = msgspec.structs.replace(shipment, state=ShipmentState.WAITING, express=express)
    return (waiting, []) if delays.preparation > 0 else dispatch(waiting, delays)


def dispatch(shipment: Shipment, delays: Delays) -> Decision:
    """Let a parcel leave whose preparation is over."""
    if shipment.state is not ShipmentState.WAITING:
        return shipment, []
    left = msgspec.structs.replace(shipment, state=ShipmentState.LEFT)
    events: list[EventData] = [ShippingPrepared(tracking=left.tracking)]
    if left.confirmed or delays.carrier == 0:
        left, more = deliver(left)
        events += more
    return left, events


def confirm(shipment: Shipment) -> Decision:
    """Store that the customer has confirmed the delivery."""
    return deliver(msgspec.structs.replace(shipment, confirmed=True))


def deliver(shipment: Shipment) -> Decision:
    """Store the delivery that carrier or customer report. Only a parcel that has left is delivered, and only once."""
    if shipment.state is not ShipmentState.LEFT:
        return shipment, []
    delivered = msgspec.structs.replace(shipment, state=ShipmentState.DELIVERED)
    return delivered, [ShippingDelivered(tracking=shipment.tracking)]


def stop(shipment: Shipment) -> Decision:
    """Stop the parcel of an order that is being cancelled, or refuse. A repeated request has the same result."""
    if shipment.state in {ShipmentState.LEFT, ShipmentState.DELIVERED}:
        return shipment, [ShippingRefused(tracking=shipment.tracking)]
    return msgspec.structs.replace(shipment, state=ShipmentState.STOPPED), [ShippingStopped()]
