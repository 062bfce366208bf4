"""The fraud service flags an order late: whatever state the order has reached, it is compensated."""

import json
from pathlib import Path

import httpx
import pytest

from tests.system.shop import Shop
from tests.system.test_redrive import warren
from warren.client import OrderView


def suspicious(shop: Shop, **fields: object) -> OrderView:
    contact = {"email": "eve@mailinator.com"}
    return shop.place({"sku": "item9", "quantity": 20}, user="eve", express=True, contact=contact, **fields)


def flagged_in(shop: Shop, state: str, *stopped: str, **fields: object) -> OrderView:
    """Place a suspicious order, let it reach `state`, then let the fraud service see it."""
    with shop.without(*stopped):
        with shop.without("fraud"):
            order = shop.reaches(suspicious(shop, **fields), state)
        return shop.reaches(order, "CANCELLING", "COMPLETED")


def test_a_flagged_order_is_cancelled_and_explained(shop: Shop) -> None:
    before = shop.stock("item9")
    order = shop.reaches(suspicious(shop), "CANCELLED")
    assert order.reason == "fraud"
    story = shop.story(order, until="order.cancelled")
    assert {"fraud.flagged", "order.cancel_requested"} <= set(story)
    assert shop.stock("item9") == before
    events = httpx.get(f"{shop.system.url('audit')}/audit/orders/{order.id}").json()["events"]
    [flag] = [each["event"]["data"] for each in events if each["event"]["type"] == "fraud.flagged"]
    assert flag["score"] == sum(rule["points"] for rule in flag["rules"]) >= flag["threshold"]
    assert [rule["name"] for rule in flag["rules"]] == ["high_value", "valuable_express", "throwaway_mail"]


@pytest.mark.parametrize(
    ("state", "stopped", "fields", "answer"),
    [
        ("PENDING", ["inventory"], {}, "inventory.released"),
        ("CONFIRMED", ["shipping"], {"paymentToken": "tok_abandoned"}, "payment.voided"),
        ("PAID", ["shipping"], {}, "payment.refunded"),
    ],
)
def test_an_order_is_compensated_in_every_state(
    shop: Shop, state: str, stopped: list[str], fields: dict[str, object], answer: str
) -> None:
    before = shop.stock("item9")
    order = shop.reaches(flagged_in(shop, state, *stopped, **fields), "CANCELLED")
    assert order.reason == "fraud"
    assert answer in shop.story(order, until="order.cancelled")
    assert shop.stock("item9") == before


def test_the_command_line_explains_the_decision(shop: Shop, tmp_path: Path) -> None:
    order = shop.reaches(suspicious(shop, orderId="explain-me"), "CANCELLED")
    shown = warren(shop.system, tmp_path, "fraud", "--order", "explain-me")
    assert "high_value: the order costs 1000.00 EUR" in shown.stdout, shown.stderr
    listed = warren(shop.system, tmp_path, "fraud", "--order", "explain-me", "--flagged", "--json")
    [document] = [json.loads(line) for line in listed.stdout.splitlines()]
    assert (document["order_id"], document["flagged"], document["score"]) == (str(order.id), True, 110)


def test_an_order_whose_parcel_has_left_is_completed(shop: Shop) -> None:
    with shop.without("fraud"):
        order = shop.reaches(suspicious(shop), "COMPLETED")
    assert "order.cancelled" not in shop.story(order, until="order.cancel_requested")
    assert shop.reaches(order, "COMPLETED").reason is None
