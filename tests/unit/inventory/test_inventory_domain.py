"""Stock is conserved and never oversold, whatever the order of events."""

import itertools
import uuid
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from services.inventory import domain
from services.inventory.domain import Reservation, ReservationState, StockItem
from services.shared.contracts import EventData
from services.shared.contracts.inventory import InventoryOutOfStock, InventoryReleased, InventoryReserved
from services.shared.contracts.orders import Line
from tests.events import order_created

Stock = dict[str, StockItem]
Step = Callable[[Reservation, Stock], tuple[Reservation, list[EventData]]]


def items(**pieces: int) -> Stock:
    return {sku: StockItem(sku, on_hand=count, reserved=0, sold=0, received=count) for sku, count in pieces.items()}


def created(*lines: tuple[str, int]) -> Step:
    data = order_created(*lines, express=True)
    return lambda reservation, stock: domain.reserve(reservation, data, stock)


def run(stock: Stock, *steps: Step) -> tuple[Reservation, list[EventData]]:
    reservation, published = Reservation(uuid.UUID(int=1)), []
    for step in steps:
        reservation, events = step(reservation, stock)
        published += events
        conserved(stock)
    return reservation, published


def conserved(stock: Stock) -> None:
    for item in stock.values():
        assert min(item.on_hand, item.reserved, item.sold) >= 0
        assert item.on_hand + item.reserved + item.sold == item.received


def counts(item: StockItem) -> tuple[int, int, int]:
    return item.on_hand, item.reserved, item.sold


def test_a_reservation_repeats_the_data_that_payment_needs() -> None:
    stock = items(mug=5)
    reservation, published = run(stock, created(("mug", 2)))
    assert reservation.state is ReservationState.RESERVED
    assert counts(stock["mug"]) == (3, 2, 0)
    assert published == [
        InventoryReserved(customer="ada", total_cents=990, currency="EUR", payment_token="tok_ok", express=True)
    ]


def test_all_lines_are_reserved_or_none() -> None:
    stock = items(mug=5, teapot=1)
    reservation, published = run(stock, created(("mug", 2), ("teapot", 3), ("kettle", 1)))
    assert reservation.state is ReservationState.OUT_OF_STOCK
    assert counts(stock["mug"]) == (5, 0, 0)
    assert published == [InventoryOutOfStock(customer="ada", missing=[Line("kettle", 1), Line("teapot", 2)])]


def test_two_lines_of_one_article_do_not_count_on_the_same_piece() -> None:
    stock = items(mug=1)
    reservation, _ = run(stock, created(("mug", 1), ("mug", 1)))
    assert reservation.state is ReservationState.OUT_OF_STOCK


def test_released_pieces_are_on_hand_again() -> None:
    for steps in ([created(("mug", 2))], [created(("mug", 2)), domain.commit]):
        stock = items(mug=5)
        reservation, published = run(stock, *steps, domain.release)
        assert reservation.state is ReservationState.RELEASED
        assert counts(stock["mug"]) == (5, 0, 0)
        assert published[-1] == InventoryReleased(lines=[Line("mug", 2)])


def test_an_order_cancelled_before_it_arrives_never_holds_stock() -> None:
    stock = items(mug=5)
    reservation, published = run(stock, domain.release, created(("mug", 2)), domain.commit)
    assert reservation.state is ReservationState.RELEASED
    assert counts(stock["mug"]) == (5, 0, 0)
    assert published == [InventoryReleased(lines=[])]


def test_every_order_of_arrival_with_repetitions_has_the_same_result() -> None:
    for steps in itertools.permutations([created(("mug", 2)), domain.commit] * 2):
        stock = items(mug=5)
        reservation, published = run(stock, *steps)
        assert reservation.state is ReservationState.SOLD
        assert counts(stock["mug"]) == (3, 0, 2)
        assert sorted(each.TYPE for each in published) == ["inventory.committed", "inventory.reserved"]
    for steps in itertools.permutations([created(("mug", 2)), domain.commit, domain.release] * 2, 6):
        stock = items(mug=5)
        reservation, published = run(stock, *steps)
        assert reservation.state is ReservationState.RELEASED
        assert counts(stock["mug"]) == (5, 0, 0)
        assert [each.TYPE for each in published].count("inventory.released") == 1


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["create", "commit", "release"])), max_size=40),
    st.integers(0, 5),
)
def test_no_piece_is_reserved_twice(steps: list[tuple[int, str]], pieces: int) -> None:
    stock = items(mug=pieces, teapot=3)
    orders = {number: Reservation(uuid.UUID(int=number + 1)) for number in range(4)}
    for number, name in steps:
        step: Step = {
            "create": created(("mug", number + 1), ("teapot", 1)),
            "commit": domain.commit,
            "release": domain.release,
        }[name]
        orders[number], _ = step(orders[number], stock)
        conserved(stock)
        held = {ReservationState.RESERVED: 0, ReservationState.SOLD: 0}
        for each in orders.values():
            if each.state in held:
                held[each.state] += sum(line.quantity for line in each.lines if line.sku == "mug")
        assert counts(stock["mug"])[1:] == (held[ReservationState.RESERVED], held[ReservationState.SOLD])
