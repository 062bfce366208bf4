from uuid import uuid4

import pytest

from services.payment import domain
from services.payment.domain import Blocked, Charged, Payment, Refunded, State, Voided
from services.shared.contracts.orders import CancelReason, OrderCancelling, Participant
from services.shared.contracts.payments import PaymentFailed, PaymentRefunded, PaymentSuccess, PaymentVoided
from tests.unit.payment.world import DEMAND

NEW = Payment(uuid4())
CHARGING = domain.reserve(NEW, DEMAND)


def test_a_charge_carries_on_what_the_order_needs() -> None:
    paid, said = domain.settle_charge(CHARGING, Charged("ch_7"), DEMAND)
    assert said == PaymentSuccess(customer="gayal", charge_id="ch_7", amount_cents=1250, currency="EUR", express=True)
    assert (paid.state, paid.charge_id, paid.amount_cents) == (State.PAID, "ch_7", 1250)


def test_a_key_blocked_by_somebody_else_fails_the_payment() -> None:
    failed, said = domain.settle_charge(CHARGING, Blocked(), DEMAND)
    assert said == PaymentFailed(code="blocked")
    assert failed.state is State.FAILED


def test_cancelling_first_leaves_a_tombstone_that_learns_the_amount() -> None:
    tombstone = domain.cancel(NEW)
    late = domain.reserve(tombstone, DEMAND)
    assert not domain.may_charge(late)
    assert (late.state, late.amount_cents) == (State.CANCELLED, 1250)


def test_a_failed_payment_is_answered_as_voided() -> None:
    failed, _ = domain.settle_charge(CHARGING, Blocked(), DEMAND)
    assert domain.settle_void(domain.cancel(failed), Voided())[1] == PaymentVoided()


def test_a_refund_names_what_was_given_back() -> None:
    refunded, said = domain.settle_void(domain.cancel(CHARGING), Refunded("ch_7", 1250, "EUR"))
    assert said == PaymentRefunded(charge_id="ch_7", amount_cents=1250, currency="EUR")
    assert domain.cancel(refunded) == refunded


@pytest.mark.parametrize(("asked", "concerned"), [(Participant.SHIPPING, False), (Participant.PAYMENT, True)])
def test_only_cancellings_that_name_payment_concern_it(asked: Participant, concerned: bool) -> None:
    cancelling = OrderCancelling(customer="gayal", reason=CancelReason.FRAUD, participants=[asked])
    assert domain.concerns(cancelling) is concerned
