"""The rules of orders: every sequence of the same facts ends in the same state and publishes the same events."""

import itertools
import uuid
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.order import domain
from services.order.domain import Decision, Fact, Order, OrderState
from services.shared.contracts import EventData
from services.shared.contracts.orders import CancelReason, OrderCancelling, OrderShipped, Participant

Step = Callable[[Order], Decision]


def order(**fields: object) -> Order:
    return Order(**({"order_id": uuid.UUID(int=1), "customer": "ada", "total_cents": 100, "currency": "EUR"} | fields))


def fact(name: Fact, tracking: str | None = None) -> Step:
    return lambda each: domain.add_fact(each, name, tracking)


def cancel(reason: CancelReason) -> Step:
    return lambda each: domain.cancel(each, reason)


def run(steps: Iterable[Step], start: Order | None = None) -> tuple[Order, list[EventData]]:
    current, published = start or order(), []
    for step in steps:
        current, events = step(current)
        published += events
    return current, published


def names(events: Iterable[EventData]) -> list[str]:
    return [
        f"{each.TYPE}({','.join(each.participants)})" if isinstance(each, OrderCancelling) else each.TYPE
        for each in events
    ]


RESERVED, CHARGED, COMMITTED = fact(Fact.RESERVED), fact(Fact.CHARGED), fact(Fact.COMMITTED)
PARCEL_LEFT, DELIVERED = fact(Fact.PARCEL_LEFT, "T1"), fact(Fact.DELIVERED, "T1")
STOPPED, RELEASED, PAYMENT_REVERSED = (
    fact(Fact.SHIPPING_STOPPED),
    fact(Fact.STOCK_RELEASED),
    fact(Fact.PAYMENT_REVERSED),
)
HAPPY_PATH = ["order.confirmed", "order.paid", "order.shipped", "order.completed"]
ASK_SHIPPING, ASK_REST = "order.cancelling(shipping)", "order.cancelling(inventory,payment)"


def test_each_state_is_announced_when_it_is_reached() -> None:
    current = order()
    for step, state, published in (
        (RESERVED, OrderState.CONFIRMED, "order.confirmed"),
        (CHARGED, OrderState.PAID, "order.paid"),
        (PARCEL_LEFT, OrderState.SHIPPED, "order.shipped"),
        (DELIVERED, OrderState.COMPLETED, "order.completed"),
    ):
        before = current.version
        current, events = step(current)
        assert (current.state, names(events)) == (state, [published])
        assert current.version == before + 1


@pytest.mark.parametrize("repetitions", [1, 2])
def test_every_arrival_order_of_a_completed_order_publishes_the_same_events(repetitions: int) -> None:
    facts = [RESERVED, CHARGED, COMMITTED, PARCEL_LEFT, DELIVERED]
    for arrival in itertools.permutations(facts):
        steps = [step for step in arrival for _ in range(repetitions)] + list(arrival[: repetitions - 1])
        current, published = run(steps)
        assert current.state is OrderState.COMPLETED
        assert names(published) == HAPPY_PATH


def test_a_parcel_known_before_the_payment_is_announced_after_it() -> None:
    current, published = run([RESERVED, PARCEL_LEFT])
    assert (current.state, names(published)) == (OrderState.CONFIRMED, ["order.confirmed"])
    current, published = run([CHARGED], current)
    assert names(published) == ["order.paid", "order.shipped"]
    assert isinstance(published[1], OrderShipped)
    assert published[1].tracking == "T1"


REASONS = [CancelReason.OUT_OF_STOCK, CancelReason.PAYMENT_FAILED, CancelReason.FRAUD, CancelReason.CUSTOMER]


@pytest.mark.parametrize("reason", REASONS)
def test_cancelling_asks_shipping_alone_first(reason: CancelReason) -> None:
    current, published = run([cancel(reason)])
    assert (current.state, current.reason) == (OrderState.CANCELLING, reason)
    assert published == [OrderCancelling(customer="ada", reason=reason, participants=[Participant.SHIPPING])]


def test_a_cancelled_order_publishes_the_same_events_in_every_order_of_answers() -> None:
    for arrival in itertools.permutations([STOPPED, RELEASED, PAYMENT_REVERSED, RESERVED, CHARGED, COMMITTED]):
        current, published = run([cancel(CancelReason.CUSTOMER), *arrival, *arrival])
        assert (current.state, current.reason) == (OrderState.CANCELLED, CancelReason.CUSTOMER)
        assert names(published) == [ASK_SHIPPING, ASK_REST, "order.cancelled"]


def test_an_order_is_cancelled_only_after_all_participants_have_answered() -> None:
    for arrival in itertools.permutations([STOPPED, RELEASED, PAYMENT_REVERSED]):
        for answers in range(4):
            current, published = run([RESERVED, CHARGED, cancel(CancelReason.CUSTOMER), *arrival[:answers]])
            assert current.state is (OrderState.CANCELLED if answers == 3 else OrderState.CANCELLING)
            assert ("order.cancelled" in names(published)) == (answers == 3)


def test_a_cancellation_before_the_parcel_has_left_ends_cancelled() -> None:
    path = [RESERVED, CHARGED, COMMITTED]
    for position in range(len(path) + 1):
        steps = [*path[:position], cancel(CancelReason.FRAUD), *path[position:], STOPPED, PAYMENT_REVERSED, RELEASED]
        current, published = run(steps)
        assert current.state is OrderState.CANCELLED
        assert names(published)[-3:] == [ASK_SHIPPING, ASK_REST, "order.cancelled"]


def test_a_refusal_withdraws_the_cancellation_and_the_order_goes_on() -> None:
    # Shipping refuses a cancellation once the parcel has left; the refusal is stored as PARCEL_LEFT.
    for arrival in itertools.permutations([RESERVED, CHARGED, PARCEL_LEFT, DELIVERED]):
        current, published = run([cancel(CancelReason.CUSTOMER), *arrival, PARCEL_LEFT])
        assert (current.state, current.reason) == (OrderState.COMPLETED, None)
        assert names(published) == [ASK_SHIPPING, *HAPPY_PATH]


def test_no_cancellation_starts_after_the_parcel_has_left() -> None:
    current, _ = run([cancel(CancelReason.CUSTOMER), PARCEL_LEFT])
    assert (current.state, current.reason) == (OrderState.PENDING, None)
    assert not current.cancellable
    for step in (cancel(CancelReason.FRAUD), domain.expire):
        assert step(current) == (current, [])


@pytest.mark.parametrize(
    "final",
    [[RESERVED, CHARGED, PARCEL_LEFT], [RESERVED, CHARGED, PARCEL_LEFT, DELIVERED], [RESERVED, CHARGED, DELIVERED]],
)
def test_a_shipped_order_is_not_cancelled(final: list[Step]) -> None:
    current, _ = run(final)
    assert cancel(CancelReason.FRAUD)(current) == (current, [])


def test_the_first_cancel_reason_is_kept() -> None:
    current, published = run([cancel(CancelReason.PAYMENT_TIMEOUT), cancel(CancelReason.PAYMENT_FAILED)])
    assert current.reason is CancelReason.PAYMENT_TIMEOUT
    assert names(published) == [ASK_SHIPPING]


def test_a_payment_before_its_reservation_is_in_time() -> None:
    current, _ = run([CHARGED])
    assert not current.awaits_payment
    assert domain.expire(current) == (current, [])
    assert domain.expire(order())[0].reason is CancelReason.PAYMENT_TIMEOUT


def test_a_delivery_is_confirmed_once_and_only_when_shipped() -> None:
    assert domain.confirm_delivery(order()) == (order(), [])
    current, _ = run([RESERVED, CHARGED, PARCEL_LEFT])
    current, published = run(
        [domain.confirm_delivery, domain.confirm_delivery, DELIVERED, domain.confirm_delivery], current
    )
    assert names(published) == ["order.delivery_confirmed", "order.completed"]
    assert current.can_confirm_delivery


def test_a_delivery_reported_by_the_carrier_cannot_be_confirmed() -> None:
    current, _ = run([RESERVED, CHARGED, PARCEL_LEFT, DELIVERED])
    assert not current.can_confirm_delivery


STEPS = {
    "reserved": RESERVED,
    "charged": CHARGED,
    "committed": COMMITTED,
    "parcel_left": PARCEL_LEFT,
    "delivered": DELIVERED,
    "stopped": STOPPED,
    "released": RELEASED,
    "payment_reversed": PAYMENT_REVERSED,
    "expire": domain.expire,
    "confirm_delivery": domain.confirm_delivery,
    **{reason.value: cancel(reason) for reason in REASONS},
}


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=14))
def test_no_sequence_of_facts_breaks_a_rule(sequence: list[str]) -> None:
    current, published = order(), []
    for name in sequence:
        before = current
        current, events = STEPS[name](before)
        published += events
        # Terminal states are final, every change increments the version, and a repeated step changes nothing.
        if before.state in {OrderState.CANCELLED, OrderState.COMPLETED}:
            assert current.state is before.state
        assert (current.version > before.version) == (current != before)
        assert STEPS[name](current) == (current, [])
    types = names(published)
    assert max(Counter(types).values(), default=1) == 1
    forward = [name for name in types if name in HAPPY_PATH]
    assert forward == HAPPY_PATH[: len(forward)]
    assert ("order.cancelled" in types) == (current.state is OrderState.CANCELLED)
    if ASK_REST in types:
        assert ASK_SHIPPING in types
        assert types.index(ASK_SHIPPING) < types.index(ASK_REST)
    assert (current.reason is None) == (current.state not in {OrderState.CANCELLING, OrderState.CANCELLED})
