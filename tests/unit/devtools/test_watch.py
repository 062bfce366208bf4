"""Parts that end unexpectedly restart a limited number of times, with a report; other parts keep running."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtools.errors import LocalError
from devtools.local.instance import Instance
from devtools.local.watch import Backoff, RestartWatch, ServicePart, WatchedPart
from devtools.processes.supervisor import ProcessSpec, Supervisor

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
FAIL = "print('no broker'); raise SystemExit(3)"


def test_pauses_grow_until_the_restart_limit() -> None:
    backoff = Backoff(limit=4, first_pause=0.5)
    assert [backoff.pause(ran=1) for _ in range(5)] == [0.5, 1, 2, 4, None]


def test_the_count_starts_again_for_a_part_that_ran_long_enough() -> None:
    backoff = Backoff(limit=2, first_pause=1, recovered_after=60)
    assert [backoff.pause(ran) for ran in (1, 1, 60, 1, 1)] == [1, 2, 1, 2, None]


class Announcements:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def wait_for(self, text: str) -> None:
        eventually(lambda: any(text in line for line in list(self.lines)), f"{text!r} in {self.lines}")


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@contextmanager
def watching(folder: Path, parts: dict[str, WatchedPart]) -> Iterator[Announcements]:
    announced, enough = Announcements(), threading.Event()
    watch = RestartWatch(parts, folder, announced.lines.append, backoff=lambda: Backoff(limit=2, first_pause=0.01))
    thread = threading.Thread(target=watch.run, args=(enough,))
    thread.start()
    try:
        yield announced
    finally:
        enough.set()
        thread.join()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path) as supervisor:
        yield supervisor


def start(supervisor: Supervisor, **services: str) -> dict[str, WatchedPart]:
    for name, code in services.items():
        supervisor.start(ProcessSpec(name, [sys.executable, "-I", "-S", "-c", code]))
    return {name: ServicePart(supervisor, name) for name in services}


def test_a_killed_service_restarts_and_the_other_keeps_running(tmp_path: Path, supervisor: Supervisor) -> None:
    parts = start(supervisor, one=SLEEP, two=SLEEP)
    eventually(lambda: supervisor.log_file("one").read_text() == "up\n", "one is up")
    before = supervisor.pids
    with watching(tmp_path, parts) as announced:
        os.kill(before["one"], signal.SIGKILL)
        announced.wait_for("one ended unexpectedly (signal 9). Its log ends: up")
        announced.wait_for("one is running again")
        after = supervisor.pids
        assert after["one"] != before["one"]
        assert after["two"] == before["two"]
        eventually(lambda: supervisor.log_file("one").read_text() == "up\nup\n", "its log is appended to")


def test_a_service_that_keeps_failing_stays_down_until_a_request(tmp_path: Path, supervisor: Supervisor) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    once = f"import pathlib\nif pathlib.Path({str(broken)!r}).exists():\n    {FAIL}\n{SLEEP}"
    parts = start(supervisor, bad=once, good=SLEEP)
    good = supervisor.pids["good"]
    with watching(tmp_path, parts) as announced:
        announced.wait_for("bad stays down after 2 restarts")
        assert sum("restarts in" in line for line in announced.lines) == 2
        assert any("no broker" in line and "exit code 3" in line for line in announced.lines)
        assert supervisor.pids == {"good": good}
        broken.unlink()
        Instance("up", folder=tmp_path).request_restart("bad")
        eventually(lambda: "bad" in supervisor.pids, "bad runs")
        announced.wait_for("bad is running again")


def test_a_running_service_restarts_on_request_and_unknown_names_are_ignored(
    tmp_path: Path, supervisor: Supervisor
) -> None:
    parts = start(supervisor, one=SLEEP)
    before = supervisor.pids["one"]
    with watching(tmp_path, parts) as announced:
        Instance("up", folder=tmp_path).request_restart("nosuch")
        Instance("up", folder=tmp_path).request_restart("one")
        announced.wait_for("one is running again")
        assert supervisor.pids["one"] != before
        assert not any("unexpectedly" in line for line in announced.lines)
        eventually(lambda: not list((tmp_path / "restart").iterdir()), "requests are taken")


class FailingToStart:
    """A server that died and cannot be started, as on a full disk."""

    starts = 0

    def failure(self) -> LocalError | None:
        return LocalError("RabbitMQ ended unexpectedly (signal 9).")

    def start(self) -> None:
        self.starts += 1
        raise LocalError("RabbitMQ did not start (exit code 1). Its log ends:\nno space left")

    def stop(self) -> None:
        pass


class FailingWithoutWords(FailingToStart):
    def start(self) -> None:
        raise TimeoutError


def test_an_error_without_a_message_does_not_stop_the_watch(tmp_path: Path) -> None:
    with watching(tmp_path, {"RabbitMQ": FailingWithoutWords()}) as announcements:
        announcements.wait_for("RabbitMQ stays down after 2 restarts")
    assert "TimeoutError()" in announcements.lines


def test_starts_that_fail_are_counted(tmp_path: Path) -> None:
    part = FailingToStart()
    with watching(tmp_path, {"RabbitMQ": part}) as announced:
        announced.wait_for("RabbitMQ stays down after 2 restarts")
    assert part.starts == 2
    assert any(line.endswith("Its log ends: no space left") for line in announced.lines)
