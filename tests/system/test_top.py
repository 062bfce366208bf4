"""`warren top` on a running system: figures of real metrics, and a screen in a terminal."""

import contextlib
import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devtools.local.system import System
from services.registry import PROCESSES, QUEUES
from tests.system.shop import Shop

COMMAND = [sys.executable, "-m", "warren", "top"]


def url(system: System) -> str:
    assert system.monitoring is not None
    return system.monitoring.prometheus.api.url


def figures(system: System) -> Any:
    arguments = ["--once", "--json", "--namespace", "local", "--prometheus-url", url(system)]
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_the_figures_of_a_busy_system_are_those_of_its_metrics(shop: Shop) -> None:
    orders = []
    found: dict[str, Any] = {}

    def busy() -> bool:
        orders.append(shop.place("mug"))
        found.update(figures(shop.system))
        queues = {each["queue"]: each for each in found["queues"]}
        return bool(queues["order.queue"]["processed"]) and bool(queues["audit.queue"]["arriving"])

    eventually(busy)
    for order in orders:
        shop.reaches(order, "COMPLETED", "CANCELLED (payment_timeout)", seconds=120)
    assert [each["queue"] for each in found["queues"]] == list(QUEUES)
    assert [each["process"] for each in found["processes"]] == list(PROCESSES)
    assert found["down"] == []
    known = ("ready", "unacked", "arriving", "processed", "consumers", "retrying", "parked", "trend")
    unknown = [(each["queue"], name) for each in found["queues"] for name in known if each[name] in (None, [])]
    names = ("up", "down", "published", "processed", "failed", "outbox", "outbox_age", "scheduled")
    unknown += [(each["process"], name) for each in found["processes"] for name in names if each[name] is None]
    assert unknown == []
    assert {each["up"] for each in found["processes"]} == {1.0}
    assert {each["consumers"] for each in found["queues"]} == {1.0}
    assert {each["process"] for each in found["breakers"]} >= {"payment"}


class Terminal:
    """A program in a terminal of 80 columns and 24 lines."""

    def __init__(self, command: list[str]) -> None:
        self.screen = b""
        self._end, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(end)
        self.process = subprocess.Popen(
            command,
            stdin=end,
            stdout=end,
            stderr=end,
            env={**os.environ, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        self._program_end = end
        os.set_blocking(self._end, False)

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            self.screen += os.read(self._end, 1 << 20)
        return self.screen

    def press(self, key: bytes) -> None:
        os.write(self._end, key)

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self._program_end)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)
        os.close(self._program_end)


@pytest.fixture
def terminal(system: System) -> Iterator[Terminal]:
    terminal = Terminal([*COMMAND, "--interval", "0.5", "--prometheus-url", url(system)])
    yield terminal
    terminal.close()


def test_the_screen_refreshes_until_q_and_restores_the_terminal(terminal: Terminal) -> None:
    eventually(lambda: terminal.read().count(b"order.queue") >= 3)
    assert b"q quits" in terminal.screen
    assert terminal.settings() != terminal.before
    terminal.press(b"x\x1b[Aq")  # an arrow key sends an escape, too
    eventually(lambda: terminal.read() and terminal.process.poll() is not None, 20)
    assert terminal.process.returncode == 0
    assert terminal.settings() == terminal.before
    assert terminal.read().endswith(b"\x1b[?25h\x1b[?1049l")  # the cursor, and the former screen


def test_an_interrupt_ends_the_screen_without_a_stack_trace(terminal: Terminal) -> None:
    eventually(lambda: b"order.queue" in terminal.read())
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait(20) == 130
    assert b"Traceback" not in terminal.read()
    assert terminal.settings() == terminal.before


def test_without_a_terminal_refreshes_follow_each_other(system: System) -> None:
    program = subprocess.Popen(
        [*COMMAND, "--interval", "0.5", "--prometheus-url", url(system)], stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    titles = 0
    while titles < 2:
        titles += program.stdout.readline().startswith("warren top  ")
    program.send_signal(signal.SIGINT)
    program.stdout.read()
    program.stdout.close()
    assert program.wait(20) == 130


def test_a_prometheus_that_does_not_respond_is_one_line() -> None:
    done = subprocess.run(
        [*COMMAND, "--once", "--prometheus-url", "http://127.0.0.1:1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("warren: Prometheus at http://127.0.0.1:1 does not respond")
    assert done.stderr.count("\n") == 1
