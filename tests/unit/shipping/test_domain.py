"""Any order and any repetition of the facts about one parcel has the same result."""

from collections.abc import Sequence
from itertools import permutations, product
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.contracts import EventData
from services.shared.contracts.shipping import ShippingDelivered, ShippingPrepared, ShippingRefused, ShippingStopped
from services.shipping import domain
from services.shipping.domain import Decision, Delays, Shipment, ShipmentState
from services.shipping.settings import ShippingSettings
from tests.services import settings_of

ORDER = UUID(int=7)
TRACKING = Shipment(ORDER).tracking
AT_ONCE = Delays()
CARRIED_AT_ONCE = Delays(carrier=0)
SLOW = Delays(preparation=60, carrier=60)

PREPARED, DELIVERED = ShippingPrepared(tracking=TRACKING), ShippingDelivered(tracking=TRACKING)
REFUSED, STOPPED = ShippingRefused(tracking=TRACKING), ShippingStopped()


def tell(shipment: Shipment, fact: str, delays: Delays) -> Decision:
    match fact:
        case "paid":
            return domain.start_preparation(shipment, express=False, delays=delays)
        case "confirmed":
            return domain.confirm(shipment)
        case "stop":
            return domain.stop(shipment)
        case "preparation over":
            return domain.dispatch(shipment, delays)
        case "carrier":
            return domain.deliver(shipment)
    raise AssertionError(fact)


def run(facts: Sequence[str], delays: Delays) -> Decision:
    shipment, published = Shipment(ORDER), list[EventData]()
    for fact in facts:
        shipment, more = tell(shipment, fact, delays)
        published += more
    return shipment, published


def in_any_order(*facts: str) -> list[tuple[str, ...]]:
    return sorted(set(permutations(facts)))


@pytest.mark.parametrize("facts", in_any_order("paid", "paid", "confirmed", "confirmed"), ids=">".join)
@pytest.mark.parametrize("delays", [AT_ONCE, CARRIED_AT_ONCE], ids=["customer", "carrier"])
def test_paid_and_confirmed_in_any_order_is_prepared_and_delivered_once(facts: tuple[str, ...], delays: Delays) -> None:
    shipment, published = run(facts, delays)
    assert shipment.state is ShipmentState.DELIVERED
    assert published == [PREPARED, DELIVERED]


@pytest.mark.parametrize("facts", in_any_order("paid", "confirmed", "preparation over"), ids=">".join)
def test_a_waiting_parcel_leaves_after_its_preparation(facts: tuple[str, ...]) -> None:
    # The periodic jobs run until nothing is due.
    shipment, published = run([*facts, "preparation over", "carrier"], SLOW)
    assert shipment.state is ShipmentState.DELIVERED
    assert published == [PREPARED, DELIVERED]


def test_a_waiting_parcel_can_be_stopped() -> None:
    shipment, published = run(["paid", "stop", "preparation over", "carrier", "confirmed"], SLOW)
    assert shipment.state is ShipmentState.STOPPED
    assert published == [STOPPED]


def test_without_a_carrier_only_the_customer_confirms_delivery() -> None:
    assert run(["paid"], AT_ONCE) == (Shipment(ORDER, state=ShipmentState.LEFT), [PREPARED])


@pytest.mark.parametrize("delays", [AT_ONCE, CARRIED_AT_ONCE, SLOW], ids=["at once", "carried at once", "slow"])
@pytest.mark.parametrize("length", range(1, 6))
def test_every_history_keeps_the_rules(length: int, delays: Delays) -> None:
    """All 5^n histories: a parcel leaves or is stopped, never both; every request to stop has the same answer."""
    for facts in product(["paid", "confirmed", "stop", "preparation over", "carrier"], repeat=length):
        shipment, published = run(facts, delays)
        left = shipment.state in {ShipmentState.LEFT, ShipmentState.DELIVERED}
        assert published.count(PREPARED) == left, facts
        assert published.count(DELIVERED) == (shipment.state is ShipmentState.DELIVERED), facts
        if DELIVERED in published:
            assert published.index(PREPARED) < published.index(DELIVERED), facts
        answer = REFUSED if left else STOPPED
        assert published.count(answer) == facts.count("stop"), facts
        if not left and "stop" not in facts:
            assert shipment.state is (ShipmentState.WAITING if "paid" in facts else ShipmentState.UNPAID), facts


@given(st.uuids())
def test_the_tracking_number_encodes_the_whole_order_id(order_id: UUID) -> None:
    number = Shipment(order_id).tracking
    # Decoded with Crockford's alphabet, so two orders never share a number.
    value = 0
    for character in number.removeprefix("WR"):
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert UUID(int=value) == order_id
    assert len(number) == 28


def test_a_tracking_number_never_changes() -> None:
    order_id = UUID("0192f3c1-7e6b-7cc0-8a51-3f1f6ad2b0e9")
    assert Shipment(order_id).tracking == "WR01JBSW2ZKBFK08MM9Z3XND5C79"


@pytest.mark.parametrize(
    ("carrier_seconds", "carrier"), [(-1, None), (-0.5, None), (0, 0), (2, 2)], ids=["unset", "negative", "zero", "two"]
)
def test_a_negative_carrier_delay_means_no_carrier(carrier_seconds: float, carrier: float | None) -> None:
    settings = settings_of(ShippingSettings, preparation_seconds=1.5, carrier_seconds=carrier_seconds)
    assert settings.delays == Delays(1.5, carrier)
