"""The payment of one order: its state, and the transitions that each new fact causes.

Two facts arrive in any order: the stock is reserved, so charge; the order is being cancelled, so refund. Cancelling
always wins: it is stored before the gateway is asked to void, and from then on no result of a charge is announced.
The gateway accepts no charge under a voided key, so whichever call reaches it first, no money is kept.
"""

from enum import StrEnum
from uuid import UUID

import msgspec

from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.payments import PaymentFailed, PaymentRefunded, PaymentSuccess, PaymentVoided


class PaymentState(StrEnum):
    NEW = "new"
    """Before the first fact; never committed."""
    CHARGING = "charging"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The order is cancelled, and the gateway has not confirmed the void yet."""
    VOIDED = "voided"
    REFUNDED = "refunded"


class Charged(msgspec.Struct, frozen=True):
    """The gateway has taken the money."""

    charge_id: str


class Declined(msgspec.Struct, frozen=True):
    """The gateway declined the charge permanently; `code` is its reason."""

    code: str


class Blocked(msgspec.Struct, frozen=True):
    """The key was voided before, so no charge is possible."""


class Voided(msgspec.Struct, frozen=True):
    """Nothing was charged under the key, and no charge is possible."""


class Refunded(msgspec.Struct, frozen=True):
    """The charge under the key was refunded, in full and once."""

    charge_id: str
    amount_cents: int
    currency: str


ChargeResult = Charged | Declined | Blocked
VoidResult = Voided | Refunded


class Payment(msgspec.Struct, frozen=True):
    """The payment of one order. The amount is None until the stock is reserved."""

    order_id: UUID
    state: PaymentState = PaymentState.NEW
    amount_cents: int | None = None
    currency: str | None = None
    charge_id: str | None = None
    code: str | None = None
    """Reason of a declined charge."""


def start_charge(payment: Payment, reserved: InventoryReserved) -> Payment:
    """Set the amount of an order with reserved stock, and start the charge unless the order was cancelled before."""
    if payment.amount_cents is None:
        payment = msgspec.structs.replace(payment, amount_cents=reserved.total_cents, currency=reserved.currency)
    if payment.state is PaymentState.NEW:
        payment = msgspec.structs.replace(payment, state=PaymentState.CHARGING)
    return payment


def complete_charge(
    payment: Payment, result: ChargeResult, reserved: InventoryReserved
) -> tuple[Payment, PaymentSuccess | PaymentFailed | None]:
    """Store the gateway's result of a charge. The event is None if the order is being cancelled: the void refunds."""
    if payment.state is not PaymentState.CHARGING:
        return payment, None
    match result:
        case Charged(charge_id):
            paid = msgspec.structs.replace(payment, state=PaymentState.PAID, charge_id=charge_id)
            return paid, PaymentSuccess(
                customer=reserved.customer,
                charge_id=charge_id,
                amount_cents=reserved.total_cents,
                currency=reserved.currency,
                express=reserved.express,
            )
        case Declined(code):
            return _fail(payment, code)
        case Blocked():
            # This service has not voided the key, so it was voided at the gateway itself.
            return _fail(payment, "blocked")


def cancel(payment: Payment) -> Payment:
    """Store that the order is being cancelled. Called before the gateway is asked to void."""
    if payment.state in {PaymentState.VOIDED, PaymentState.REFUNDED}:
        return payment
    return msgspec.structs.replace(payment, state=PaymentState.CANCELLED)


def complete_void(payment: Payment, result: VoidResult) -> tuple[Payment, PaymentVoided | PaymentRefunded]:
    """Store the gateway's result of a void. A repeated void has the same result, and the same event."""
    match result:
        case Voided():
            return msgspec.structs.replace(payment, state=PaymentState.VOIDED), PaymentVoided()
        case Refunded(charge_id, amount_cents, currency):
            refunded = msgspec.structs.replace(payment, state=PaymentState.REFUNDED, charge_id=charge_id)
            return refunded, PaymentRefunded(charge_id=charge_id, amount_cents=amount_cents, currency=currency)


def _fail(payment: Payment, code: str) -> tuple[Payment, PaymentFailed]:
    return msgspec.structs.replace(payment, state=PaymentState.FAILED, code=code), PaymentFailed(code=code)
