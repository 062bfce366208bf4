"""One order's parcel, and what follows from each new fact about it.

Three facts arrive in any order: it is paid, it is to be stopped, the customer has it. The one decision is between
leaving and stopping, and whichever comes first stands: a parcel that has left refuses to be stopped, one that was
stopped never leaves.
"""

from enum import StrEnum
from uuid import UUID

import msgspec

from services.shared.contracts import EventData
from services.shared.contracts.orders import OrderCancelling, Participant
from services.shared.contracts.shipping import ShippingDelivered, ShippingPrepared, ShippingRefused, ShippingStopped
from services.shipping.tracking import tracking_number


class State(StrEnum):
    UNPAID = "unpaid"
    """Known only by a fact that came before the payment."""
    WAITING = "waiting"
    """Paid, and still in the house."""
    PREPARED = "prepared"
    """It has left."""
    DELIVERED = "delivered"
    STOPPED = "stopped"
    """It never leaves, whatever arrives later."""


class Pace(msgspec.Struct, frozen=True):
    """How long things take, in seconds; 0 means within the same transaction."""

    preparation: float = 0
    carrier: float | None = None
    """None: no carrier reports, only the customer does."""


class Shipment(msgspec.Struct, frozen=True):
    """The parcel of one order."""

    order_id: UUID
    reference: str | None = None
    state: State = State.UNPAID
    express: bool = False
    confirmed: bool = False
    """The customer has said that it arrived, maybe before we knew that it left."""

    @property
    def tracking(self) -> str:
        return tracking_number(self.order_id)


Outcome = tuple[Shipment, list[EventData]]


def concerns(data: EventData) -> bool:
    """Whether an event is about parcels: each `order.cancelling` names those it asks."""
    return not isinstance(data, OrderCancelling) or Participant.SHIPPING in data.participants


def pay(shipment: Shipment, *, express: bool, pace: Pace) -> Outcome:
    """The order is paid: the parcel waits its time, or leaves at once."""
    if shipment.state is not State.UNPAID:
        return shipment, []
    waiting = msgspec.structs.replace(shipment, state=State.WAITING, express=express)
    return (waiting, []) if pace.preparation > 0 else prepare(waiting, pace)


def prepare(shipment: Shipment, pace: Pace) -> Outcome:
    """The waiting is over: the parcel leaves."""
    if shipment.state is not State.WAITING:
        return shipment, []
    prepared = msgspec.structs.replace(shipment, state=State.PREPARED)
    said: list[EventData] = [ShippingPrepared(tracking=prepared.tracking)]
    if prepared.confirmed or pace.carrier == 0:
        prepared, more = deliver(prepared)
        said += more
    return prepared, said


def confirm(shipment: Shipment) -> Outcome:
    """The customer says that the parcel has arrived."""
    return deliver(msgspec.structs.replace(shipment, confirmed=True))


def deliver(shipment: Shipment) -> Outcome:
    """Carrier or customer report the delivery; only what has left can arrive, and only once."""
    if shipment.state is not State.PREPARED:
        return shipment, []
    return msgspec.structs.replace(shipment, state=State.DELIVERED), [ShippingDelivered(tracking=shipment.tracking)]


def stop(shipment: Shipment) -> Outcome:
    """The order is being cancelled. Every time this is asked it is answered, and always in the same way."""
    if shipment.state in {State.PREPARED, State.DELIVERED}:
        return shipment, [ShippingRefused(tracking=shipment.tracking)]
    return msgspec.structs.replace(shipment, state=State.STOPPED), [ShippingStopped()]
