"""/readyz follows the servers that a process needs, within ten seconds; /livez answers 200 all the time.

The servers are killed, so that connections are refused, or suspended, so that connections hang. The services have the
timeouts of production.
"""

import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import psutil
import pytest

from devtools.local.system import System
from devtools.servers.server import Server
from services.registry import PROCESSES
from tests.system.shop import Shop

NOT_READY_SECONDS = 10.0
READY_SECONDS = 60.0  # a server may need this long to start
API = "order-api"
CONSUMERS = frozenset(PROCESSES) - {API}


def suspend(server: Server) -> Callable[[], None]:
    """Stop every process of the server: connections stay, and nothing answers. Return the way back."""
    assert server.pid is not None
    root = psutil.Process(server.pid)
    processes = [root, *root.children(recursive=True)]
    for each in processes:
        each.send_signal(signal.SIGSTOP)

    def resume() -> None:
        for each in processes:
            each.send_signal(signal.SIGCONT)

    return resume


def kill(server: Server) -> Callable[[], None]:
    server.kill()
    return server.start


@contextmanager
def without(server: Server, how: Callable[[Server], Callable[[], None]]) -> Iterator[None]:
    back = how(server)
    try:
        yield
    finally:
        back()


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=NOT_READY_SECONDS) as answer:  # noqa: S310 - ours
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def is_ready(system: System, process: str) -> bool:
    return status(f"{system.metrics_url(process)}/readyz") == 200


def wait(system: System, processes: Collection[str], *, ready: bool, seconds: float, what: str) -> None:
    """Wait until all processes are ready or none is; every one is live at each moment."""
    began = time.monotonic()
    missing = set(processes)
    with ThreadPoolExecutor(len(PROCESSES)) as pool:
        while missing:
            alive = pool.map(status, [f"{system.metrics_url(name)}/livez" for name in PROCESSES])
            assert set(alive) == {200}
            names = sorted(missing)
            for name, state in zip(names, pool.map(partial(is_ready, system), names), strict=True):
                if state == ready:
                    missing.discard(name)
            elapsed = time.monotonic() - began
            assert not missing or elapsed < seconds, f"not {'ready' if ready else 'unready'} in {seconds} s: {missing}"
            time.sleep(0.1)
    reached = "ready" if ready else "not ready"
    sys.stdout.write(f"{what}: {', '.join(sorted(processes))} {reached} after {time.monotonic() - began:.1f} s\n")


def require_ready(system: System, process: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert is_ready(system, process), process
        time.sleep(0.1)


HOW = pytest.mark.parametrize("how", [kill, suspend])


@HOW
def test_consumers_are_not_ready_without_the_broker_and_the_api_is(
    shop: Shop, how: Callable[[Server], Callable[[], None]]
) -> None:
    system = shop.system
    wait(system, PROCESSES, ready=True, seconds=READY_SECONDS, what="before")
    time.sleep(2.5)  # a quorum queue younger than this may lose its log in a kill
    with without(system.servers.broker, how):
        wait(system, CONSUMERS, ready=False, seconds=NOT_READY_SECONDS, what="without the broker")
        require_ready(system, API, 3)
        order = shop.place("mug")
    wait(system, PROCESSES, ready=True, seconds=READY_SECONDS, what="with the broker")
    shop.reaches(order, "COMPLETED", "CANCELLED (payment_timeout)", seconds=60)


@HOW
def test_no_process_is_ready_without_the_database(shop: Shop, how: Callable[[Server], Callable[[], None]]) -> None:
    system = shop.system
    wait(system, PROCESSES, ready=True, seconds=READY_SECONDS, what="before")
    with without(system.servers.postgres, how):
        wait(system, PROCESSES, ready=False, seconds=NOT_READY_SECONDS, what="without the database")
    wait(system, PROCESSES, ready=True, seconds=READY_SECONDS, what="with the database")
    shop.reaches(shop.place("mug"), "COMPLETED", seconds=60)
