from uuid import uuid4

from services.payment import domain
from services.payment.domain import Blocked, Charged, Payment, PaymentState, Refunded, Voided
from services.shared.contracts.payments import PaymentFailed, PaymentRefunded, PaymentSuccess, PaymentVoided
from tests.unit.payment.harness import RESERVED

NEW = Payment(uuid4())
CHARGING = domain.start_charge(NEW, RESERVED)


def test_a_success_repeats_the_data_that_shipping_needs() -> None:
    paid, published = domain.complete_charge(CHARGING, Charged("ch_7"), RESERVED)
    assert published == PaymentSuccess(customer="ada", charge_id="ch_7", amount_cents=990, currency="EUR", express=True)
    assert (paid.state, paid.charge_id, paid.amount_cents) == (PaymentState.PAID, "ch_7", 990)


def test_a_key_voided_at_the_gateway_fails_the_payment() -> None:
    failed, published = domain.complete_charge(CHARGING, Blocked(), RESERVED)
    assert published == PaymentFailed(code="blocked")
    assert failed.state is PaymentState.FAILED


def test_a_cancelled_payment_keeps_the_amount_of_a_late_reservation() -> None:
    tombstone = domain.cancel(NEW)
    late = domain.start_charge(tombstone, RESERVED)
    assert late.state is not PaymentState.CHARGING
    assert (late.state, late.amount_cents) == (PaymentState.CANCELLED, 990)


def test_a_failed_payment_is_answered_as_voided() -> None:
    failed, _ = domain.complete_charge(CHARGING, Blocked(), RESERVED)
    assert domain.complete_void(domain.cancel(failed), Voided())[1] == PaymentVoided()


def test_a_refund_has_charge_and_amount() -> None:
    refunded, published = domain.complete_void(domain.cancel(CHARGING), Refunded("ch_7", 990, "EUR"))
    assert published == PaymentRefunded(charge_id="ch_7", amount_cents=990, currency="EUR")
    assert domain.cancel(refunded) == refunded
