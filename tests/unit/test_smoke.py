"""The smoke test against a fake order API in which parcels may leave before a cancellation."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.stub_server import StubRequest, stub_server
from warren.demo import MAX_ATTEMPTS, Scenario
from warren.smoke import SmokeTest

ORDINARY = Scenario("an ordinary order", {"orderId": "1", "user": "ann", "items": ["mug"]}, "COMPLETED")
REGRET = Scenario("regret", {"orderId": "2", "user": "gus", "items": ["mug"]}, "CANCELLED (customer)", cancel_in="PAID")


class FakeShop:
    """Every order is PAID at its first poll and COMPLETED at the next."""

    def __init__(self) -> None:
        self.placed: list[str] = []
        self.seen: set[str] = set()
        self.too_late = 0  # number of first cancellations that are refused
        self.overtaken = 0  # number of first cancellations that are accepted after the parcel has left
        self.skips_paid = False  # orders are COMPLETED at the first poll
        self.unavailable = 0  # number of first requests that get 503
        self.fixed_response: tuple[int, dict[str, object]] | None = None  # to every request

    def respond(self, request: StubRequest) -> tuple[int, dict[str, object]]:
        if self.unavailable:
            self.unavailable -= 1
            return 503, {}
        if self.fixed_response is not None:
            return self.fixed_response
        if request.path == "/orders":
            self.placed.append(request.body["orderId"])
            return 202, self.order(str(uuid4()), "PENDING")
        name = request.path.split("/")[2]
        if not request.path.endswith("/cancel"):
            state = "COMPLETED" if self.skips_paid or name in self.seen else "PAID"
            self.seen.add(name)
            return 200, self.order(name, state)
        if self.too_late:
            self.too_late -= 1
            return 409, {"title": "Too late to cancel", "detail": "Its parcel has left."}
        self.overtaken -= 1
        return 200, self.order(name, "CANCELLING") if self.overtaken >= 0 else self.order(name, "CANCELLED", "customer")

    @staticmethod
    def order(name: str, state: str, reason: str | None = None) -> dict[str, object]:
        shown = {"id": name, "orderId": None, "customer": "x", "state": state, "reason": reason}
        return shown | {"totalCents": 1, "currency": "EUR", "version": 1, "createdAt": "2026-11-22T10:00:00Z"}


@pytest.fixture
def shop() -> FakeShop:
    return FakeShop()


@pytest.fixture
def smoke(shop: FakeShop) -> Iterator[SmokeTest]:
    with stub_server(shop.respond) as url:
        yield SmokeTest(url, None, 20)


def test_an_order_with_the_expected_final_state_passes(smoke: SmokeTest) -> None:
    assert smoke.run(ORDINARY) == (
        True,
        "an ordinary order: PENDING -> PAID -> COMPLETED: COMPLETED, as expected",
    )


def test_an_order_with_another_final_state_fails(smoke: SmokeTest) -> None:
    declined = Scenario("declined", ORDINARY.body, "CANCELLED (payment_failed)")
    assert smoke.run(declined) == (
        False,
        "declined: PENDING -> PAID -> COMPLETED: COMPLETED, expected CANCELLED (payment_failed)",
    )


def test_a_refused_cancellation_is_tried_with_a_new_order(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.too_late = MAX_ATTEMPTS - 1
    assert smoke.run(REGRET)[0]
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_a_cancellation_that_is_always_refused_fails(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.too_late = MAX_ATTEMPTS
    shown = "regret: PENDING -> PAID -> COMPLETED: COMPLETED, expected CANCELLED (customer)"
    assert smoke.run(REGRET) == (False, shown)
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_a_cancellation_after_shipping_is_tried_with_a_new_order(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.overtaken = MAX_ATTEMPTS - 1
    assert smoke.run(REGRET)[0]
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_an_order_that_is_final_at_the_first_poll_is_placed_again(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.skips_paid = True
    assert smoke.run(REGRET) == (False, "regret: PENDING -> COMPLETED: COMPLETED, expected CANCELLED (customer)")
    assert len(shop.placed) == MAX_ATTEMPTS


def test_requests_are_repeated_until_the_server_answers(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.unavailable = 2
    assert smoke.run(ORDINARY)[0]


def test_a_refused_request_fails_at_once(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.fixed_response = 401, {"title": "No token", "detail": "Who are you?"}
    assert smoke.run(ORDINARY) == (False, "an ordinary order: No token (401): Who are you?")


def test_a_response_of_another_server_is_reported_in_one_line(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.fixed_response = 200, {"welcome": "to the proxy"}
    good, line = smoke.run(ORDINARY)
    assert not good
    assert line.endswith("/orders answered 200 and no order: is this Warren's order service?")
