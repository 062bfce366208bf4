"""`warren up` restarts killed parts on the same data and ports, and orders continue."""

import os
import signal
import time

import pytest

from devtools.errors import ServerError
from devtools.local.system import System
from tests.system.shop import Shop
from tests.system.watched import Watched


@pytest.mark.parametrize("victim", ["payment", "order-worker", "sinks", "PostgreSQL", "RabbitMQ"])
def test_a_killed_part_restarts_and_orders_continue(shop: Shop, watched: Watched, victim: str) -> None:
    # A quorum queue younger than this may lose its log in a kill.
    time.sleep(2.5 if victim == "RabbitMQ" else 0)
    before = shop.place("mug")
    addresses = shop.system.urls
    watched.kill(victim)
    # Here an order has eight seconds to be paid, and a server may be away for longer.
    shop.reaches(before, "COMPLETED", "CANCELLED (payment_timeout)", seconds=120)
    shop.reaches(shop.place("teapot"), "COMPLETED", seconds=60)
    assert shop.system.urls == addresses
    assert watched.recorded == 2  # gone, and there again
    shop.system.check()


def test_without_a_watch_an_unexpected_end_of_a_server_is_reported_at_once(system: System) -> None:
    server = system.servers.postgres
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    try:
        with pytest.raises(ServerError, match=r"PostgreSQL ended unexpectedly \(signal 9\)"):
            while True:
                system.check()
                time.sleep(0.02)
    finally:
        server.start()
    system.check()
