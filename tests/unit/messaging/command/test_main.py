"""The command line: help, version, exit codes, and errors in one line."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from warren_messaging.command.main import main


@pytest.fixture(autouse=True)
def logging_enabled() -> Iterator[None]:
    """`main` disables logging in its process, which is that of the tests here."""
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([], ["run", "migrations", "topology", "doctor", "examples:", "exit codes:"]),
        (["run"], ["MODULE:SERVICE", "Run services until SIGTERM or Ctrl-C"]),
        (["migrations"], ["print", "apply", "status", "examples:", "PGPASSWORD"]),
        (["migrations", "apply"], ["--database-url", "--password-file", "--schema"]),
        (["topology"], ["--format", "--declare", "rabbitmqctl import_definitions"]),
        (["doctor"], ["--json", "--management-url", "examples:"]),
    ],
)
def test_help_has_examples(command: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [part for part in expected if part not in text] == []


def test_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"warren-messaging {version('warren-messaging')}\n"


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (["run", "cafe:nothing"], 2, "warren-messaging: module 'cafe' has no 'nothing'"),
        (["topology", "cafe:service"], 78, "warren-messaging: settings: COFFEE_BROKER_URL is not set"),
        (["migrations", "print", "--after", "9"], 78, "warren-messaging: there is no migration '9': the versions are"),
    ],
)
def test_errors_are_one_line(
    project: Path, command: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["stop"], ["migrations"], ["run"], ["topology", "cafe:service", "more"]])
def test_wrong_usage_ends_with_2(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("usage: warren-messaging")


def test_a_reader_that_closes_the_pipe_is_no_error(project: Path) -> None:
    command = f"{sys.executable} -m warren_messaging migrations print | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


def test_an_interruption_is_one_line(project: Path) -> None:
    (project / "slow.py").write_text("import time\nprint('importing', flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "warren_messaging", "doctor", "slow:service"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "warren-messaging: interrupted\n")
