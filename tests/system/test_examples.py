"""The documentation's example, run as its README describes, with the whole system."""

import asyncio
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from devtools.local.run_service import ExtraService
from devtools.local.topology import VHOST
from devtools.paths import CHECKOUT
from devtools.ports import remembered_ports
from tests.system.shop import Shop

LOYALTY = CHECKOUT / "docs" / "examples" / "loyalty"


class Points:
    """The example, running."""

    def __init__(self, shop: Shop, port: int) -> None:
        self._shop = shop
        self._url = f"http://127.0.0.1:{port}/points"

    def of(self, customer: str) -> int:
        return int(httpx.get(f"{self._url}/{customer}").raise_for_status().json()["points"])

    def reach(self, customer: str, points: int, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while (found := self._try(customer)) != points:
            self._shop.system.check()
            assert time.monotonic() < deadline, f"{customer} has {found} points, not {points}"
            time.sleep(0.05)

    def _try(self, customer: str) -> int | None:
        try:
            return self.of(customer)
        except httpx.TransportError:
            return None  # not listening yet


@pytest.fixture
def points(shop: Shop, tmp_path: Path) -> Iterator[Points]:
    """The example service, removed with its queues afterwards: the invariants allow no queue without a consumer."""
    guest = ExtraService(LOYALTY, shop.system.folder)
    asyncio.run(guest.prepare())
    asyncio.run(guest.prepare())  # changes nothing
    port = remembered_ports(tmp_path / "ports.json", ("loyalty",))["loyalty"]
    shop.system.processes.start(guest.process(port=port))
    yield Points(shop, port)
    shop.system.processes.stop("loyalty")
    broker = shop.system.servers.broker.endpoints
    login, tls = (broker.admin_username, broker.admin_password), ssl.create_default_context(cafile=broker.ca_file)
    with httpx.Client(base_url=broker.management_url, auth=login, verify=tls) as api:
        for queue in ("loyalty.queue", "loyalty.dlq"):
            api.delete(f"/api/queues/{VHOST}/{queue}").raise_for_status()


def test_the_example_gives_points_for_completed_orders_including_missed_ones(shop: Shop, points: Points) -> None:
    points.reach("ada", 0)
    order = shop.reaches(shop.place("teapot", user="ada"), "COMPLETED")
    first = order.total_cents // 100
    points.reach("ada", first)

    cancelled = shop.place("teapot", user="ada", paymentToken="tok_declined")
    with shop.without("loyalty"):
        second = shop.reaches(shop.place("mug", user="ada"), "COMPLETED").total_cents // 100
        shop.reaches(cancelled, "CANCELLED")
    points.reach("ada", first + second)
    assert points.of("another-customer") == 0
