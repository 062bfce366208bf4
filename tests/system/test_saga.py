"""The order saga end to end: real broker, real database, a process for each service."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from tests.system.shop import Shop
from warren.client import OrderView
from warren.errors import ClientError

COMPLETE = [
    "order.created",
    "inventory.reserved",
    "order.confirmed",
    "payment.success",
    "order.paid",
    "inventory.committed",
    "shipping.prepared",
    "order.shipped",
    "shipping.delivered",
    "order.completed",
]


def test_the_happy_path_publishes_each_event_once(shop: Shop) -> None:
    before = shop.stock("item2")
    order = shop.reaches(shop.place({"sku": "item2", "quantity": 3}), "COMPLETED")
    assert sorted(shop.story(order, until="order.completed")) == sorted(COMPLETE)
    after = shop.stock("item2")
    assert (after["sold"] - before["sold"], before["onHand"] - after["onHand"]) == (3, 3)


def test_the_documented_request_is_accepted_and_every_service_logs_its_steps(shop: Shop) -> None:
    body = '{"orderId": "123", "user": "gayal", "items": ["item1", "item2"]}'
    url = f"{shop.system.url('order-api')}/orders"
    command = ["curl", "-s", "-i", "-X", "POST", url, "-H", "Content-Type: application/json", "-d", body]
    head, _, response = subprocess.run(command, capture_output=True, text=True, check=True).stdout.partition("\n\n")
    assert " 202 " in head.splitlines()[0]
    found = json.loads(response)
    assert f"/orders/{found['id']}" in head
    order = shop.reaches(shop.client.find(found["id"]), "COMPLETED")
    shop.story(order, until="order.completed")
    expected = {
        "order-api": ["published order.created"],
        "inventory": ["processed order.created -> inventory.reserved", "processed payment.success"],
        "payment": ["processed inventory.reserved -> payment.success"],
        "shipping": ["processed payment.success", "published shipping.prepared", "published shipping.delivered"],
        "order-worker": ["processed shipping.delivered -> order.completed"],
        "notification": ["processed order.completed -> notification.requested"],
        "email": ["processed notification.requested"],
        "audit": ["processed payment.success", "processed order.completed"],
    }
    deadline = time.monotonic() + 10
    for process, texts in expected.items():
        for text in texts:
            while not _logged(shop, process, text, reference="123"):
                assert time.monotonic() < deadline, f"{process} logged no {text!r} for order 123"
                time.sleep(0.05)


def _logged(shop: Shop, process: str, text: str, reference: str) -> bool:
    """Whether a line has this event, event type and announced types, as in "processed a.b -> c.d"."""
    complete = shop.system.processes.log_file(process).read_text().rpartition("\n")[0]
    lines = [json.loads(line) for line in complete.splitlines()]
    shown = [
        " -> ".join(filter(None, (f"{line['event']} {line.get('event_type')}", line.get("announced"))))
        for line in lines
        if line.get("reference") == reference
    ]
    return any(text in each for each in shown)


def test_out_of_stock_cancels_and_reserves_nothing(shop: Shop) -> None:
    before = shop.stock("mug")
    order = shop.reaches(shop.place("mug", "sold-out"), "CANCELLED")
    assert order.reason == "out_of_stock"
    story = shop.story(order, until="order.cancelled")
    assert "inventory.out_of_stock" in story
    assert "payment.success" not in story
    assert shop.stock("mug") == before


@pytest.mark.parametrize("token", ["tok_declined", "tok_insufficient_funds", "tok_expired_card", "tok_nonsense"])
def test_a_failed_payment_cancels_and_releases_the_stock(shop: Shop, token: str) -> None:
    before = shop.stock("teapot")
    order = shop.reaches(shop.place("teapot", paymentToken=token), "CANCELLED")
    assert order.reason == "payment_failed"
    shop.story(order, until="order.cancelled")
    assert shop.stock("teapot") == before


@pytest.mark.parametrize("token", ["tok_flaky", "tok_lost_answer", "tok_confirm"])
def test_a_payment_with_errors_succeeds_with_one_charge(shop: Shop, token: str) -> None:
    order = shop.reaches(shop.place("item3", paymentToken=token), "COMPLETED", "CANCELLED")
    assert order.state == "COMPLETED"


def test_an_order_without_a_payment_is_cancelled_at_its_deadline(shop: Shop) -> None:
    order = shop.reaches(shop.place("item3", paymentToken="tok_abandoned"), "CANCELLED", seconds=40)
    assert order.reason == "payment_timeout"


def test_a_pending_order_is_cancelled(shop: Shop) -> None:
    with shop.without("inventory"):
        order = shop.place("item4")
        assert shop.client.cancel(order.id).state == "CANCELLING"
        assert shop.client.cancel(order.id).state == "CANCELLING"
    assert shop.reaches(order, "CANCELLED").reason == "customer"
    story = shop.story(order, until="order.cancelled")
    assert story.count("order.cancelling") == 2  # shipping first, then the others
    assert {"inventory.released", "shipping.stopped"} <= set(story)
    assert {"payment.voided", "payment.refunded"} & set(story)


def test_a_confirmed_order_is_cancelled(shop: Shop) -> None:
    order = shop.place("item4", paymentToken="tok_abandoned")
    shop.reaches(order, "CONFIRMED")
    shop.client.cancel(order.id)
    assert shop.reaches(order, "CANCELLED").reason == "customer"
    assert "payment.voided" in shop.story(order, until="order.cancelled")


def test_a_cancelled_paid_order_is_refunded(shop: Shop) -> None:
    order = shop.place("item4")
    shop.reaches(order, "PAID")
    shop.client.cancel(order.id)
    assert shop.reaches(order, "CANCELLED").reason == "customer"
    assert "payment.refunded" in shop.story(order, until="order.cancelled")


def cancelled_after_the_parcel_left(shop: Shop) -> OrderView:
    """The parcel leaves, and the customer cancels before the order has heard of it.

    The worker is stopped at a random moment. It may hold the order's row just then, or know of the parcel already,
    and the cancellation is refused for that: then another order is tried.
    """
    for _ in range(8):
        order = shop.place("item4")
        shop.reaches(order, "PAID", "SHIPPED", "COMPLETED")
        with shop.without("order-worker"):
            shop.story(order, until="shipping.prepared")
            try:
                assert shop.client.cancel(order.id).state == "CANCELLING"
            except ClientError:
                continue
            return order
    raise AssertionError("the moment was missed eight times")


def test_a_cancellation_refused_by_shipping_is_withdrawn_before_any_refund(shop: Shop) -> None:
    order = cancelled_after_the_parcel_left(shop)
    found = shop.reaches(order, "COMPLETED", "CANCELLED")
    assert (found.state, found.reason) == ("COMPLETED", None)
    story = shop.story(order, until="order.completed")
    assert "shipping.refused" in story
    assert not {"payment.refunded", "payment.voided", "inventory.released"} & set(story)


@pytest.mark.parametrize("state", ["SHIPPED", "COMPLETED"])
def test_a_cancellation_after_shipping_is_refused(shop: Shop, state: str) -> None:
    order = shop.place("item4")
    shop.reaches(order, state)
    with pytest.raises(ClientError, match=r"\(409\)"):
        shop.client.cancel(order.id)


def test_a_cancelled_order_cannot_be_cancelled_again(shop: Shop) -> None:
    order = shop.reaches(shop.place("sold-out"), "CANCELLED")
    with pytest.raises(ClientError, match=r"\(409\)"):
        shop.client.cancel(order.id)


def test_the_customers_confirmation_completes_the_order(shop: Shop) -> None:
    order = shop.place("item5")
    shop.reaches(order, "SHIPPED")
    shop.client.confirm_delivery(order.id)
    shop.reaches(order, "COMPLETED")
    assert shop.story(order, until="order.completed").count("shipping.delivered") == 1


def test_fifty_concurrent_posts_with_one_key_create_one_order_and_get_equal_responses(shop: Shop) -> None:
    request = {"user": "gayal", "items": ["item6"]}
    headers = {"Idempotency-Key": "one-key"}
    together = Barrier(50)
    with httpx.Client(base_url=shop.system.url("order-api"), headers=headers, timeout=30) as http:

        def post(_: int) -> httpx.Response:
            together.wait(30)
            return http.post("/orders", json=request)

        with ThreadPoolExecutor(50) as pool:
            responses = list(pool.map(post, range(50)))
        assert {response.status_code for response in responses} == {202}
        assert len({(response.content, response.headers["location"]) for response in responses}) == 1
        order = shop.client.find(responses[0].json()["id"])
        shop.accepted.append(order.id)
        shop.reaches(order, "COMPLETED")
        assert shop.story(order, until="order.completed").count("order.created") == 1
        # When the order has moved on, the response is still the first one; another body with that key is refused.
        again = http.post("/orders", json=request)
        assert (again.status_code, again.content) == (202, responses[0].content)
        other = http.post("/orders", json=request | {"items": ["item7"]})
        assert (other.status_code, other.headers["content-type"]) == (422, "application/problem+json")


def test_a_hundred_concurrent_orders_sell_the_last_piece_once(shop: Shop) -> None:
    together = Barrier(100)

    def place(number: int) -> OrderView:
        together.wait(30)
        return shop.place("last-piece", user=f"user{number}")

    with ThreadPoolExecutor(100) as pool:
        orders = list(pool.map(place, range(100)))
    ends = [shop.reaches(order, "COMPLETED", "CANCELLED", seconds=60).shown_state for order in orders]
    assert ends.count("COMPLETED") == 1
    assert ends.count("CANCELLED (out_of_stock)") == 99
    assert shop.stock("last-piece")["sold"] == 1
