"""The smoke test against a fake order API, which can ship an order before its cancellation arrives."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.stub_server import StubRequest, stub_server
from warren.demo import MAX_ATTEMPTS, Scenario
from warren.smoke import SmokeTest

COMPLETES = Scenario("an ordinary order", {"orderId": "1", "user": "ann", "items": ["mug"]}, "COMPLETED")
CANCELS = Scenario(
    "changed mind", {"orderId": "2", "user": "gus", "items": ["mug"]}, "CANCELLED (customer)", cancel_in="PAID"
)


class FakeShop:
    """An order API: every order is PAID at its first poll and COMPLETED at the next."""

    def __init__(self) -> None:
        self.placed: list[str] = []
        self.seen: set[str] = set()
        self.refused_cancellations = 0  # so many cancellations get 409, before others are accepted
        self.late_cancellations = 0  # so many cancellations are accepted although the parcel has left
        self.skips_paid = False  # orders are COMPLETED at the first poll
        self.unavailable = 0  # so many requests get 503, before others are answered
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
        if self.refused_cancellations:
            self.refused_cancellations -= 1
            return 409, {"title": "Too late to cancel", "detail": "Its parcel has left."}
        self.late_cancellations -= 1
        return 200, self.order(name, "CANCELLING") if self.late_cancellations >= 0 else self.order(
            name, "CANCELLED", "customer"
        )

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
    assert smoke.run(COMPLETES) == (
        True,
        "an ordinary order: PENDING -> PAID -> COMPLETED: COMPLETED, as expected",
    )


def test_an_order_with_another_final_state_fails(smoke: SmokeTest) -> None:
    declined = Scenario("declined", COMPLETES.body, "CANCELLED (payment_failed)")
    assert smoke.run(declined) == (
        False,
        "declined: PENDING -> PAID -> COMPLETED: COMPLETED, expected CANCELLED (payment_failed)",
    )


def test_a_refused_cancellation_is_repeated_with_a_new_order(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.refused_cancellations = MAX_ATTEMPTS - 1
    assert smoke.run(CANCELS)[0]
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_a_cancellation_that_is_always_refused_fails(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.refused_cancellations = MAX_ATTEMPTS
    shown = "changed mind: PENDING -> PAID -> COMPLETED: COMPLETED, expected CANCELLED (customer)"
    assert smoke.run(CANCELS) == (False, shown)
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_a_cancellation_after_shipping_is_repeated_with_a_new_order(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.late_cancellations = MAX_ATTEMPTS - 1
    assert smoke.run(CANCELS)[0]
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_an_order_completed_before_its_cancellation_is_placed_again(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.skips_paid = True
    assert smoke.run(CANCELS) == (False, "changed mind: PENDING -> COMPLETED: COMPLETED, expected CANCELLED (customer)")
    assert len(shop.placed) == MAX_ATTEMPTS


def test_requests_are_repeated_until_the_server_answers(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.unavailable = 2
    assert smoke.run(COMPLETES)[0]


def test_a_request_refused_with_401_is_not_repeated(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.fixed_response = 401, {"title": "No token", "detail": "The token is missing."}
    assert smoke.run(COMPLETES) == (False, "an ordinary order: No token (401): The token is missing.")


def test_a_response_of_another_server_is_reported_in_one_line(smoke: SmokeTest, shop: FakeShop) -> None:
    shop.fixed_response = 200, {"welcome": "to the proxy"}
    good, line = smoke.run(COMPLETES)
    assert not good
    assert line.endswith("/orders answered 200 and no order: is this Warren's order service?")
