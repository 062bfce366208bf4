"""What the payment service says. Amounts are in the currency's smallest unit."""

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
    """The gateway declined for good; `code` is its word for why."""

    TYPE: ClassVar[str] = "payment.failed"
    code: Name


class PaymentVoided(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: no money was taken and none can be any more."""

    TYPE: ClassVar[str] = "payment.voided"


class PaymentRefunded(EventData, frozen=True, kw_only=True, rename="camel"):
    """Answer to `order.cancelling`: what was taken has been given back."""

    TYPE: ClassVar[str] = "payment.refunded"
    charge_id: Name
    amount_cents: Cents
    currency: Currency


EVENTS = (PaymentSuccess, PaymentFailed, PaymentVoided, PaymentRefunded)
