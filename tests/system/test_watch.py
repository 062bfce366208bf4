"""`warren up` restarts killed parts on the same data and ports, and orders continue."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from devtools.errors import ServerError
from devtools.local.system import System
from tests.system.shop import Shop


class Watched:
    """The system with a watch that runs, as `warren up` runs it."""

    def __init__(self, system: System) -> None:
        self.lines: list[str] = []
        self.recorded = 0
        self._system = system
        self._enough = threading.Event()
        self._thread = threading.Thread(target=system.watch(self.lines.append, self._record).run, args=(self._enough,))
        self._thread.start()

    def _record(self) -> None:
        self.recorded += 1

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it runs again."""
        pid, announced = self._system.pids[name], len(self.lines)
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self._until(lambda: any(f"{name} ended unexpectedly" in line for line in self.lines[announced:]), 30)
        # At once is what a person takes for it; noticed by a time-out would be half a minute and more.
        assert time.monotonic() - killed_at < 20
        self._until(lambda: f"{name} is running again" in self.lines[announced:], 120)
        assert self._system.pids[name] != pid

    def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()


@pytest.fixture
def watched(system: System) -> Iterator[Watched]:
    watched = Watched(system)
    yield watched
    watched.stop()


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
