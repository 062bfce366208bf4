"""Events of the payment service. Amounts are in the currency's smallest unit."""

from typing import ClassVar

from services.shared.contracts.values import Cents, Currency, Name
from warren_messaging.events import EventData


class PaymentSuccess(EventData, frozen=True, kw_only=True, rename="camel"):
    TYPE: ClassVar[str] = "payment.success"
    customer: Name
    charge_id: Name
    amount_cents: Cents
    currency: Currency
    express: bool = False


class PaymentFailed(EventData, frozen=True, kw_only=True, rename="camel"):
    """The gateway declined the charge permanently; `code` is its reason."""

    TYPE: ClassVar[str] = "payment.failed"
    code: Name


class PaymentVoided(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: no money was taken, and no later charge is possible."""

    TYPE: ClassVar[str] = "payment.voided"


class PaymentRefunded(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: the charge was refunded."""

    TYPE: ClassVar[str] = "payment.refunded"
    charge_id: Name
    amount_cents: Cents
    currency: Currency


EVENTS = (PaymentSuccess, PaymentFailed, PaymentVoided, PaymentRefunded)
