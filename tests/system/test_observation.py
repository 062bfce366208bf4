"""Liveness, readiness and metrics of each process."""

import time
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devtools.local.system import System
from services.registry import PROCESSES
from tests.system.shop import Shop

PUBLISHED = {"messaging_destination_name": "order.exchange:order.created", "error_type": ""}
PROCESSED = {"messaging_destination_name": "order.exchange:order.created:inventory.queue", "error_type": ""}


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
        return answer.read().decode()


def figure(page: str, name: str, **labels: str) -> float:
    """The sum of the samples of that name that carry these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_is_live_and_ready_and_names_its_parts(system: System, process: str) -> None:
    url = system.metrics_url(process)
    assert read(f"{url}/livez") == "ok\n"
    assert read(f"{url}/readyz") == "ok\n"
    parts = read(f"{url}/readyz?verbose").splitlines()
    assert "[+] database" in parts
    # The order API consumes no queue. It is ready as long as its outbox has room.
    assert ("[+] outbox" in parts) == (process == "order-api")
    assert any(part.endswith(".queue") for part in parts) == (process != "order-api")


def test_metrics_count_an_order(system: System, shop: Shop) -> None:
    def sent() -> float:
        page = read(f"{system.metrics_url('order-api')}/metrics")
        return figure(page, "messaging_client_sent_messages_total", **PUBLISHED)

    def processed() -> float:
        page = read(f"{system.metrics_url('inventory')}/metrics")
        return figure(page, "messaging_process_duration_seconds_count", **PROCESSED)

    before = sent(), processed()
    order = shop.place("item1")
    shop.reaches(order, "COMPLETED")
    assert (sent(), processed()) == (before[0] + 1, before[1] + 1)
    page = read(f"{system.metrics_url('order-api')}/metrics")
    eventually(lambda: figure(read(f"{system.metrics_url('order-api')}/metrics"), "warren_outbox_events") == 0)
    assert figure(page, "process_resident_memory_bytes") > 1_000_000
    # By the route's pattern: a label for each order's own path would grow without end.
    assert "/orders/{" in page
    assert str(order.id) not in page
