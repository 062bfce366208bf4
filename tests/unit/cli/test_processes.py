"""`warren status`, `logs` and `restart`, for an instance whose processes are this test's own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from warren.cli import processes
from warren.local.errors import LocalError
from warren.local.instance import REQUESTS, Instance

URLS = {"orders": "http://127.0.0.1:8080/orders", "metrics of payment": "http://127.0.0.1:20001/metrics"}


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """It runs `payment`, which is this process; `email` is down."""
    monkeypatch.setattr(processes, "Instance", lambda name: Instance(name, folder=tmp_path))
    with Instance("up", folder=tmp_path) as held:
        held.record(URLS, {"payment": os.getpid()}, ["payment", "email"])
        yield held


def test_status_shows_what_runs_and_what_is_down(instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    assert processes.status() == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["orders", URLS["orders"]]
    (payment,) = [line for line in shown if line.startswith("payment")]
    assert f"pid {os.getpid()}" in payment
    assert payment.endswith(URLS["metrics of payment"])
    assert [line.split() for line in shown if line.startswith("email")] == [["email", "DOWN"]]
    instance.record(URLS, {"payment": os.getpid()}, ["payment"])
    assert processes.status() == 0


def test_a_process_that_has_just_died_is_down(instance: Instance, capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as service:
        instance.record(URLS, {"payment": service.pid}, ["payment"])
        service.kill()
    assert processes.status() == 1
    assert "DOWN" in capsys.readouterr().out


def test_restart_asks_the_supervisor_and_waits_until_it_has_done_so(
    instance: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    request = instance.dir / REQUESTS / "email"

    def supervise() -> None:
        while not request.exists():
            time.sleep(0.01)
        request.unlink()
        instance.record(URLS, {"payment": os.getpid(), "email": os.getpid()}, ["payment", "email"])

    thread = threading.Thread(target=supervise, daemon=True)
    thread.start()
    processes.restart("EMAIL")
    thread.join()
    assert capsys.readouterr().out == f"email runs again, pid {os.getpid()}\n"


def test_a_name_that_is_none_is_refused_with_those_that_are(instance: Instance) -> None:
    with pytest.raises(LocalError, match=r"no 'mail'. There are: payment, email\."):
        processes.restart("mail")
    assert not (instance.dir / REQUESTS).exists()


def test_where_nothing_runs_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "Instance", lambda name: Instance(name, folder=tmp_path))
    for command in (processes.status, lambda: processes.restart("payment"), processes.logs):
        with pytest.raises(LocalError, match="make up"):
            command()


def test_logs_are_the_ends_of_files_also_of_a_system_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "logs" / "services").mkdir(parents=True)
    for name in ("services/payment.log", "services/payment.old.log", "services/email.log", "postgres.log"):
        (tmp_path / "logs" / name).write_text("first\nlast\n")
    commands: list[list[str]] = []
    monkeypatch.setattr(processes, "Instance", lambda name: Instance(name, folder=tmp_path))
    monkeypatch.setattr(os, "execvp", lambda _, command: commands.append(command))
    processes.logs("postgresql", lines=1, follow=True)
    processes.logs(lines=5)
    folder = tmp_path / "logs"
    assert commands == [
        ["tail", "--lines=1", "-F", f"{folder}/postgres.log"],
        ["tail", "--lines=5", *(f"{folder}/{name}.log" for name in ("services/email", "services/payment", "postgres"))],
    ]
    assert subprocess.run(commands[1], capture_output=True, check=True).stdout.count(b"last") == 3


def test_a_second_start_says_in_a_line_where_the_first_one_is(instance: Instance) -> None:
    with pytest.raises(LocalError) as refusal, Instance("up", folder=instance.dir):
        pass
    said = str(refusal.value)
    assert said == (
        f"`warren up` already runs in this checkout (pid {os.getpid()}). Orders are taken at {URLS['orders']}."
        " `warren status` shows all of it, `make down` stops it."
    )
