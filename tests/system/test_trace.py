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
