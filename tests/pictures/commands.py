"""Draws `warren top` and `warren trace` of a running system."""

import time
from pathlib import Path

from devtools.local.system import System
from tests.pictures.terminal import terminal_picture
from warren.client import FINAL_STATES, ApiClient

WIDTH = 100  # characters
TRACED_ORDER = {
    "orderId": "1042",
    "user": "ada",
    "items": [{"sku": "mug", "quantity": 2}, "teapot"],
    "paymentToken": "tok_flaky",
    "contact": {"email": "ada@example.org", "phone": "+4915112345"},
}
SPANS_SECONDS = 5.0  # processes send their spans every half a second


def draw_top(folder: Path, system: System) -> Path:
    """Write a picture of `warren top` now."""
    assert system.monitoring is not None
    environment = {"WARREN_PROMETHEUS_URL": system.monitoring.prometheus.api.url}
    return _write(folder, "top", terminal_picture(["top", "--once"], environment, WIDTH))


def draw_trace(folder: Path, system: System) -> Path:
    """Place an order whose payment fails twice, and write a picture of its `warren trace` when it has ended."""
    with ApiClient(system.url("order-api")) as client:
        order = client.place(TRACED_ORDER)
        while client.find(str(order.id)).state not in FINAL_STATES:
            system.check()
            time.sleep(0.5)
    time.sleep(SPANS_SECONDS)
    environment = {
        "WARREN_URL": system.url("order-api"),
        "WARREN_AUDIT_URL": system.url("audit"),
        "WARREN_TRACES_URL": system.traces_url,
    }
    return _write(folder, "trace", terminal_picture(["trace", order.name], environment, WIDTH))


def _write(folder: Path, command: str, picture: str) -> Path:
    file = folder / f"warren-{command}.svg"
    file.write_text(picture)
    return file
