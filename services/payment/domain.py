"""What is known about the payment of one order, and what follows from each new fact.

Two facts can meet in any order: the goods are reserved, so charge; the order is being cancelled, so give back.
Cancelling always wins. It is noted before the gateway is asked to void, and from then on no answer to a charge is
announced, whenever it was asked for. The gateway's own rule does the rest: after a void its key takes no money, so
whichever of the two calls comes first there, nothing is kept.
"""

from enum import StrEnum
from uuid import UUID

import msgspec

from services.shared.contracts import EventData
from services.shared.contracts.inventory import InventoryReserved
from services.shared.contracts.orders import OrderCancelling, Participant
from services.shared.contracts.payments import PaymentFailed, PaymentRefunded, PaymentSuccess, PaymentVoided


class State(StrEnum):
    NEW = "new"
    """A place for the first fact; never committed."""
    CHARGING = "charging"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """No money may be kept; the gateway has yet to say whether any was taken."""
    VOIDED = "voided"
    REFUNDED = "refunded"


class Charged(msgspec.Struct, frozen=True):
    """The money is taken."""

    charge_id: str


class Declined(msgspec.Struct, frozen=True):
    """The gateway refuses for good; `code` is its word for why."""

    code: str


class Blocked(msgspec.Struct, frozen=True):
    """The key was voided before; it takes no money any more."""


class Voided(msgspec.Struct, frozen=True):
    """Nothing was taken under the key, and nothing can be."""


class Refunded(msgspec.Struct, frozen=True):
    """What was taken under the key has been given back, in full and once."""

    charge_id: str
    amount_cents: int
    currency: str


ChargeAnswer = Charged | Declined | Blocked
VoidAnswer = Voided | Refunded


class Payment(msgspec.Struct, frozen=True):
    """The payment of one order. The amount is unknown while only the cancelling is."""

    order_id: UUID
    state: State = State.NEW
    amount_cents: int | None = None
    currency: str | None = None
    charge_id: str | None = None
    code: str | None = None
    """Why it was declined."""


def concerns(data: EventData) -> bool:
    """Whether an event is about money: each `order.cancelling` names those it asks."""
    return not isinstance(data, OrderCancelling) or Participant.PAYMENT in data.participants


def reserve(payment: Payment, demand: InventoryReserved) -> Payment:
    """The goods are set aside: the amount is known, and is charged unless the order was cancelled before."""
    if payment.amount_cents is None:
        payment = msgspec.structs.replace(payment, amount_cents=demand.total_cents, currency=demand.currency)
    if payment.state is State.NEW:
        payment = msgspec.structs.replace(payment, state=State.CHARGING)
    return payment


def may_charge(payment: Payment) -> bool:
    return payment.state is State.CHARGING


def settle_charge(
    payment: Payment, answer: ChargeAnswer, demand: InventoryReserved
) -> tuple[Payment, PaymentSuccess | PaymentFailed | None]:
    """The gateway has answered a charge. None when a cancelling came first: its void settles the money."""
    if payment.state is not State.CHARGING:
        return payment, None
    match answer:
        case Charged(charge_id):
            paid = msgspec.structs.replace(payment, state=State.PAID, charge_id=charge_id)
            return paid, PaymentSuccess(
                customer=demand.customer,
                charge_id=charge_id,
                amount_cents=demand.total_cents,
                currency=demand.currency,
                express=demand.express,
            )
        case Declined(code):
            return _fail(payment, code)
        case Blocked():
            # Nobody here has asked for a void, so somebody did at the gateway itself.
            return _fail(payment, "blocked")


def cancel(payment: Payment) -> Payment:
    """The order is being cancelled: note it, before anything is asked of the gateway."""
    if payment.state in {State.VOIDED, State.REFUNDED}:
        return payment
    return msgspec.structs.replace(payment, state=State.CANCELLED)


def settle_void(payment: Payment, answer: VoidAnswer) -> tuple[Payment, PaymentVoided | PaymentRefunded]:
    """The gateway has answered a void. Asked again, it answers the same, and so do we."""
    match answer:
        case Voided():
            return msgspec.structs.replace(payment, state=State.VOIDED), PaymentVoided()
        case Refunded(charge_id, amount_cents, currency):
            refunded = msgspec.structs.replace(payment, state=State.REFUNDED, charge_id=charge_id)
            return refunded, PaymentRefunded(charge_id=charge_id, amount_cents=amount_cents, currency=currency)


def _fail(payment: Payment, code: str) -> tuple[Payment, PaymentFailed]:
    return msgspec.structs.replace(payment, state=State.FAILED, code=code), PaymentFailed(code=code)
