"""`warren trace` on a running system whose processes export their spans."""

import time
from typing import Any

from tests.system.shop import Shop
from tests.system.test_trace import document, trace


def test_the_timeline_has_spans_with_waits_retries_calls_and_mails(shop: Shop) -> None:
    contact = {"email": "ada@customers.example", "phone": "+4915112345"}
    order = shop.place("mug", paymentToken="tok_flaky", contact=contact)
    shop.reaches(order, "COMPLETED")
    deadline = time.monotonic() + 60
    while not complete(found := document(shop.system, order)):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert found["remarks"] == []
    assert len(found["traces"]) == 1
    activities = found["activities"]
    assert {each["kind"] for each in activities} == {"request", "publish", "process", "call"}
    assert activities[0]["what"] == "POST /orders"
    charges = [each for each in activities if each["queue"] == "payment.queue" and each["what"] == "inventory.reserved"]
    assert [(each["attempt"], each["outcome"]) for each in charges] == [(1, "retried"), (2, "retried"), (3, None)]
    assert "503" in charges[0]["reason"]
    # A queue delivers a failed message after one second, then after two.
    assert charges[1]["waited"] >= 0.9
    assert charges[2]["waited"] >= 1.9
    paid = next(step for step in found["steps"] if step["state"] == "PAID")
    assert 2.8 <= paid["queued"] <= paid["took"]
    assert all(each["waited"] is not None for each in activities if each["kind"] == "process")
    assert {each["service"] for each in activities} >= {"order-api", "order-worker", "payment", "email", "sms"}
    [call, *_] = [each for each in activities if each["kind"] == "call"]
    assert (call["service"], call["detail"]) == ("sms", "status 201")
    done = trace(shop.system, str(order.id))
    assert (done.returncode, done.stderr) == (0, "")
    assert "attempt 2, retried: " in done.stdout


def complete(found: Any) -> bool:
    """Whether the spans of the last events have arrived: each delivery of order.completed, and what follows."""
    last = [each for each in found["activities"] if each["kind"] == "process" and each["what"] == "order.completed"]
    sent = {each["service"] for each in found["activities"] if each["what"] == "notification.requested"}
    return bool(last) and sent >= {"email", "sms"} and all(each["kind"] != "event" for each in found["activities"])
