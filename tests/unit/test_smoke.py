"""The smoke run against a shop of its own on loopback, whose parcels may leave before a customer is heard."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import pytest

from warren.demo import MAX_ATTEMPTS, Scenario
from warren.smoke import SmokeTest

ORDINARY = Scenario("an ordinary order", {"orderId": "1", "user": "ann", "items": ["mug"]}, "COMPLETED")
REGRET = Scenario("regret", {"orderId": "2", "user": "gus", "items": ["mug"]}, "CANCELLED (customer)", cancel_in="PAID")


class Shop:
    """Every order is PAID when it is looked at first, and COMPLETED when it is looked at again."""

    def __init__(self) -> None:
        self.placed: list[str] = []
        self.seen: set[str] = set()
        self.too_late = 0  # cancellations that are refused, from the first
        self.overtaken = 0  # cancellations that are taken, from the first, and come after the parcel has left
        self.in_a_hurry = False  # nobody ever sees PAID
        self.away = 0  # requests that nobody answers yet, from the first
        self.instead: tuple[int, dict[str, object]] | None = None  # what it answers to everything

    def answer(self, verb: str, path: str, body: dict[str, str]) -> tuple[int, dict[str, object]]:
        if self.away:
            self.away -= 1
            return 503, {}
        if self.instead is not None:
            return self.instead
        if path == "/orders":
            self.placed.append(body["orderId"])
            return 202, self.order(str(uuid4()), "PENDING")
        name = path.split("/")[2]
        if not path.endswith("/cancel"):
            state = "COMPLETED" if self.in_a_hurry or name in self.seen else "PAID"
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
def shop() -> Shop:
    return Shop()


@pytest.fixture
def smoke(shop: Shop) -> Iterator[SmokeTest]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
            code, answer = shop.answer(self.command, self.path, body)
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_POST = do_GET  # noqa: N815 - the names that http.server asks for

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield SmokeTest(f"http://127.0.0.1:{server.server_port}", None, 20)
        server.shutdown()
        thread.join()


def test_an_order_that_ends_as_it_should_is_well(smoke: SmokeTest) -> None:
    assert smoke.run(ORDINARY) == (
        True,
        "an ordinary order: PENDING -> PAID -> COMPLETED: COMPLETED, as expected",
    )


def test_one_that_ends_otherwise_is_not(smoke: SmokeTest) -> None:
    declined = Scenario("declined", ORDINARY.body, "CANCELLED (payment_failed)")
    assert smoke.run(declined) == (
        False,
        "declined: PENDING -> PAID -> COMPLETED: COMPLETED, NOT CANCELLED (payment_failed)",
    )


def test_a_customer_who_was_too_late_orders_again(smoke: SmokeTest, shop: Shop) -> None:
    shop.too_late = MAX_ATTEMPTS - 1
    assert smoke.run(REGRET)[0]
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_one_who_is_always_too_late_is_said(smoke: SmokeTest, shop: Shop) -> None:
    shop.too_late = MAX_ATTEMPTS
    shown = "regret: PENDING -> PAID -> COMPLETED: COMPLETED, NOT CANCELLED (customer)"
    assert smoke.run(REGRET) == (False, shown)
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_a_customer_whose_word_was_overtaken_by_the_parcel_orders_again(smoke: SmokeTest, shop: Shop) -> None:
    shop.overtaken = MAX_ATTEMPTS - 1
    assert smoke.run(REGRET)[0]
    assert len(set(shop.placed)) == MAX_ATTEMPTS


def test_an_order_that_was_over_at_the_first_look_is_placed_again_and_then_said(smoke: SmokeTest, shop: Shop) -> None:
    shop.in_a_hurry = True
    assert smoke.run(REGRET) == (False, "regret: PENDING -> COMPLETED: COMPLETED, NOT CANCELLED (customer)")
    assert len(shop.placed) == MAX_ATTEMPTS


def test_a_shop_that_is_not_there_yet_is_waited_for(smoke: SmokeTest, shop: Shop) -> None:
    shop.away = 2
    assert smoke.run(ORDINARY)[0]


def test_a_shop_that_refuses_is_not(smoke: SmokeTest, shop: Shop) -> None:
    shop.instead = 401, {"title": "No token", "detail": "Who are you?"}
    assert smoke.run(ORDINARY) == (False, "an ordinary order: No token (401): Who are you?")


def test_something_else_at_the_address_is_said_in_one_line(smoke: SmokeTest, shop: Shop) -> None:
    shop.instead = 200, {"welcome": "to the proxy"}
    good, line = smoke.run(ORDINARY)
    assert not good
    assert line.endswith("/orders answered 200 and no order: is this Warren's order service?")
