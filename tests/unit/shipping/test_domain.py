"""Any order and any repetition of the facts about one parcel ends the same."""

from collections.abc import Sequence
from itertools import permutations, product
from uuid import UUID

import pytest

from services.shared.contracts import EventData
from services.shared.contracts.orders import CancelReason, OrderCancelling, Participant
from services.shared.contracts.shipping import ShippingDelivered, ShippingPrepared, ShippingRefused, ShippingStopped
from services.shipping import domain
from services.shipping.domain import Outcome, Pace, Shipment, State

ORDER = UUID(int=7)
TRACKING = Shipment(ORDER).tracking
AT_ONCE = Pace()
CARRIED_AT_ONCE = Pace(carrier=0)
SLOW = Pace(preparation=60, carrier=60)

PREPARED, DELIVERED = ShippingPrepared(tracking=TRACKING), ShippingDelivered(tracking=TRACKING)
REFUSED, STOPPED = ShippingRefused(tracking=TRACKING), ShippingStopped()


def tell(shipment: Shipment, fact: str, pace: Pace) -> Outcome:
    match fact:
        case "paid":
            return domain.pay(shipment, express=False, pace=pace)
        case "confirmed":
            return domain.confirm(shipment)
        case "stop":
            return domain.stop(shipment)
        case "preparation over":
            return domain.prepare(shipment, pace)
        case "carrier":
            return domain.deliver(shipment)
    raise AssertionError(fact)


def run(facts: Sequence[str], pace: Pace) -> Outcome:
    shipment, said = Shipment(ORDER), list[EventData]()
    for fact in facts:
        shipment, more = tell(shipment, fact, pace)
        said += more
    return shipment, said


def in_any_order(*facts: str) -> list[tuple[str, ...]]:
    return sorted(set(permutations(facts)))


@pytest.mark.parametrize("facts", in_any_order("paid", "paid", "confirmed", "confirmed"), ids=">".join)
@pytest.mark.parametrize("pace", [AT_ONCE, CARRIED_AT_ONCE], ids=["customer", "carrier"])
def test_paid_and_confirmed_in_any_order_is_prepared_and_delivered_once(facts: tuple[str, ...], pace: Pace) -> None:
    shipment, said = run(facts, pace)
    assert shipment.state is State.DELIVERED
    assert said == [PREPARED, DELIVERED]


@pytest.mark.parametrize("facts", in_any_order("paid", "confirmed", "preparation over"), ids=">".join)
def test_a_parcel_that_waits_leaves_by_the_clock(facts: tuple[str, ...]) -> None:
    # The clock ticks until nothing is due.
    shipment, said = run([*facts, "preparation over", "carrier"], SLOW)
    assert shipment.state is State.DELIVERED
    assert said == [PREPARED, DELIVERED]


def test_while_it_waits_a_parcel_can_be_stopped() -> None:
    shipment, said = run(["paid", "stop", "preparation over", "carrier", "confirmed"], SLOW)
    assert shipment.state is State.STOPPED
    assert said == [STOPPED]


def test_without_a_carrier_only_the_customer_delivers() -> None:
    assert run(["paid"], AT_ONCE) == (
        Shipment(ORDER, state=State.PREPARED),
        [PREPARED],
    )


@pytest.mark.parametrize("pace", [AT_ONCE, CARRIED_AT_ONCE, SLOW], ids=["at once", "carried at once", "slow"])
@pytest.mark.parametrize("length", range(1, 6))
def test_every_history_keeps_its_promises(length: int, pace: Pace) -> None:
    """All 5^n histories: a parcel leaves or is stopped, never both; every request to stop is answered alike."""
    for facts in product(["paid", "confirmed", "stop", "preparation over", "carrier"], repeat=length):
        shipment, said = run(facts, pace)
        left = shipment.state in {State.PREPARED, State.DELIVERED}
        assert said.count(PREPARED) == left, facts
        assert said.count(DELIVERED) == (shipment.state is State.DELIVERED), facts
        if DELIVERED in said:
            assert said.index(PREPARED) < said.index(DELIVERED), facts
        answer = REFUSED if left else STOPPED
        assert said.count(answer) == facts.count("stop"), facts
        if not left and "stop" not in facts:
            assert shipment.state is (State.WAITING if "paid" in facts else State.UNPAID), facts


@pytest.mark.parametrize(("asked", "concerned"), [(Participant.SHIPPING, True), (Participant.PAYMENT, False)])
def test_only_cancellings_that_name_shipping_concern_it(asked: Participant, concerned: bool) -> None:
    cancelling = OrderCancelling(customer="gayal", reason=CancelReason.FRAUD, participants=[asked])
    assert domain.concerns(cancelling) is concerned
