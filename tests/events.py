"""Events about one order, with the values that tests do not care about."""

from uuid import UUID

from services.shared.contracts import AnyEvent
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.orders import (
    EXPRESS_PRIORITY,
    CancelReason,
    Contact,
    Line,
    OrderCancelling,
    OrderCreated,
    Participant,
)
from services.shared.contracts.payments import PaymentSuccess
from warren_messaging.testing import event_of

RESERVED = InventoryReserved(customer="ada", total_cents=990, currency="EUR", payment_token="tok_ok")
SUCCESS = PaymentSuccess(customer="ada", charge_id="ch_1", amount_cents=990, currency="EUR")


def order_created(*lines: tuple[str, int], express: bool = False, contact: Contact | None = None) -> OrderCreated:
    return OrderCreated(
        customer="ada",
        lines=[Line(sku, quantity) for sku, quantity in lines],
        total_cents=990,
        currency="EUR",
        payment_token="tok_ok",
        express=express,
        contact=contact or Contact(),
    )


def order_cancelling(*participants: Participant) -> OrderCancelling:
    return OrderCancelling(customer="ada", reason=CancelReason.CUSTOMER, participants=list(participants))


def inventory_reserved(order_id: UUID, token: str = "tok_ok", *, express: bool = False) -> AnyEvent:  # noqa: S107
    data = InventoryReserved(customer="ada", total_cents=990, currency="EUR", payment_token=token, express=express)
    return event_of(data, subject=order_id, reference="A-1", priority=EXPRESS_PRIORITY if express else None)


def payment_success(order_id: UUID, *, express: bool = False) -> AnyEvent:
    data = PaymentSuccess(customer="ada", charge_id="ch_1", amount_cents=990, currency="EUR", express=express)
    return event_of(data, subject=order_id, reference="A-1")


def cancelling(order_id: UUID, *participants: Participant) -> AnyEvent:
    """Return an `order.cancelling` event. Default: the participants of the second phase, inventory and payment."""
    asked = participants or (Participant.INVENTORY, Participant.PAYMENT)
    return event_of(order_cancelling(*asked), subject=order_id, reference="A-1")
