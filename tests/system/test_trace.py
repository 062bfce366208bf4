"""`warren trace` on a running system: one order from its request to its mail, from events and spans."""

import json
import os
import subprocess
import sys
import time
from typing import Any

from devtools.local.system import System
from tests.system.shop import Shop
from warren.client import OrderView


def trace(system: System, *arguments: str, traces: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "WARREN_URL": system.url("order-api"),
        "WARREN_AUDIT_URL": system.url("audit"),
        "WARREN_TRACES_URL": system.traces_url if traces is None else traces,
    }
    command = [sys.executable, "-m", "warren", "trace", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def document(system: System, order: OrderView, **options: str) -> Any:
    done = trace(system, str(order.id), "--json", **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_timeline_has_every_step_of_the_order_from_the_audit_log(shop: Shop) -> None:
    order = shop.place("mug")
    shop.reaches(order, "COMPLETED")
    deadline = time.monotonic() + 30
    while len((found := document(shop.system, order, traces="http://127.0.0.1:1"))["steps"]) < 5:
        assert time.monotonic() < deadline
    assert [step["state"] for step in found["steps"]] == ["PENDING", "CONFIRMED", "PAID", "SHIPPED", "COMPLETED"]
    assert {each["kind"] for each in found["activities"]} == {"event"}
    done = trace(shop.system, str(order.id), traces="http://127.0.0.1:1")
    assert done.returncode == 0
    assert "order.completed" in done.stdout


def test_an_unknown_order_is_one_line(system: System) -> None:
    done = trace(system, "no-such-order")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("warren: no order 'no-such-order' at ")


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
