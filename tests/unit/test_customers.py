"""SteadyCustomers count each order once, and each failed request."""

import asyncio
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from tests.stub_server import StubRequest, stub_server
from warren import customers
from warren.customers import OrderCounts, SteadyCustomers

ORDERS = 20


class Shop:
    """Accepts orders; every `broken`th request gets `code`. Calls `enough` after `ORDERS` requests."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.enough: Callable[[], object] = lambda: None
        self.broken = 0
        self.code = 503
        self.keys: list[str | None] = []
        self.names: list[str] = []
        self.url = ""

    def respond(self, request: StubRequest) -> tuple[int, dict[str, str]]:
        with self.lock:
            return self._respond(request)

    def _respond(self, request: StubRequest) -> tuple[int, dict[str, str]]:
        self.names.append(request.body["orderId"])
        self.keys.append(request.headers["Idempotency-Key"])
        if len(self.names) == ORDERS:
            self.enough()
        if self.broken and len(self.names) % self.broken == 0:
            return self.code, {"title": "away"}
        return 202, {"id": str(uuid4())}


@pytest.fixture
def shop() -> Iterator[Shop]:
    it = Shop()
    with stub_server(it.respond) as it.url:
        yield it


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests do not time out on a busy machine."""
    monkeypatch.setattr(customers, "TIMEOUT", 120.0)


async def order(shop: Shop) -> OrderCounts:
    """Place a hundred orders a second until the server has received `ORDERS` requests."""
    crowd = SteadyCustomers(shop.url, None, 100)
    loop = asyncio.get_running_loop()
    shop.enough = lambda: loop.call_soon_threadsafe(crowd.stop)
    return await crowd.order(600)


async def test_every_order_has_its_own_reference_and_is_counted(shop: Shop) -> None:
    counts = await order(shop)
    assert len(shop.names) == len(set(shop.names)) == len(counts.accepted) >= ORDERS
    assert counts.failed.total() == 0
    assert "0 requests failed; accepted within" in counts.text


async def test_a_failed_request_is_counted_and_repeated_with_the_same_key(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(customers, "PAUSE", 0.01)
    shop.broken = 3
    counts = await order(shop)
    assert counts.failed == {'answered 503: {"title": "away"}': len(shop.names) // 3}
    assert len(counts.accepted) == len(set(shop.keys)) == len(set(shop.names))
    assert counts.given_up == 0
    assert max(counts.accepted.values()) > 0.01  # the time of an order includes the pause


async def test_a_refused_order_is_given_up_at_once(shop: Shop) -> None:
    shop.broken, shop.code = 1, 401
    counts = await order(shop)
    assert counts.failed.total() == counts.given_up == len(shop.names)
    assert f"{len(shop.names)} ordered, 0 accepted" in counts.text


async def test_an_order_without_a_response_is_given_up_after_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customers, "PATIENCE", 600.0)
    monkeypatch.setattr(customers, "PAUSE", 0.01)
    crowd = SteadyCustomers("http://127.0.0.1:9", None, 50)
    ordering = asyncio.create_task(crowd.order(600))
    while crowd.counts.failed.total() < ORDERS:  # noqa: ASYNC110 (the command has no event for it)
        await asyncio.sleep(0.01)
    crowd.stop()
    assert crowd.counts.given_up == 0
    monkeypatch.setattr(customers, "PATIENCE", 0.0)
    counts = await ordering
    assert counts.accepted == {}
    assert counts.failed.total() >= ORDERS + counts.given_up > ORDERS
    assert list(counts.failed) == ["no response: All connection attempts failed"]


def test_sigterm_stops_the_command_which_still_reports_all_orders(shop: Shop) -> None:
    command = [sys.executable, "-m", "warren.customers", "--url", shop.url, "--rate", "50", "--ids"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        lines = [first, *process.stdout.read().splitlines()]
    assert process.returncode == 0
    accepted = [line for line in lines if line.startswith("accepted ")]
    assert lines[-1].startswith(f"{len(accepted)} ordered, {len(accepted)} accepted, 0 requests failed")
    assert len(accepted) == len(shop.names)


@pytest.mark.parametrize("rate", ["0", "-1"])
def test_a_rate_must_be_positive(rate: str) -> None:
    command = [sys.executable, "-m", "warren.customers", "--url", "http://127.0.0.1:9", f"--rate={rate}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{rate} is not more than 0" in done.stderr
