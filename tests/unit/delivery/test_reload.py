"""k8s/tilt/reload.sh restarts its program, and stops with it."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.messaging_env import eventually

SCRIPT = (Path(__file__).resolve().parents[3] / "k8s" / "tilt" / "reload.sh").read_text()
PROGRAM = 'trap \'echo "$1 ends" >> log; exit\' TERM; echo "$1 begins" >> log; while :; do sleep 0.05; done'


def start(folder: Path) -> tuple[subprocess.Popen[bytes], Callable[[], list[str]]]:
    command = ["sh", "-c", SCRIPT, str(folder / "pid"), "sh", "-c", PROGRAM, "program", "order"]
    process = subprocess.Popen(command, cwd=folder)
    log = folder / "log"
    return process, lambda: log.read_text().splitlines() if log.exists() else []


def number(folder: Path) -> int:
    """The process id of the running program; 0 before it is written."""
    file = folder / "pid"
    return int(file.read_text() or 0) if file.exists() else 0


async def test_a_stopped_program_restarts_and_both_stop_together(tmp_path: Path) -> None:
    process, output = start(tmp_path)
    try:
        await eventually(lambda: output() == ["order begins"] and number(tmp_path) > 0)
        os.kill(number(tmp_path), signal.SIGTERM)
        await eventually(lambda: output() == ["order begins", "order ends", "order begins"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert output() == ["order begins", "order ends", "order begins", "order ends"]
    finally:
        process.kill()
        process.wait()
