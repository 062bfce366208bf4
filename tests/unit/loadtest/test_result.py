"""A result arrives whole whatever the pipe does, and what arrives instead of one is shown."""

import fcntl
import os
import struct
import subprocess
import sys
import termios
import time

import msgspec
import pytest

from loadtest.errors import RunFailed
from loadtest.result import read_result

# Its write is interrupted by a signal while the pipe is full.
SENDER = """
import os, signal
import msgspec
from loadtest.result import write_result
class Numbers(msgspec.Struct):
    numbers: list[int]
signal.signal(signal.SIGALRM, lambda *_: os.write(2, b"."))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
write_result(Numbers(list(range(50_000))))
signal.setitimer(signal.ITIMER_REAL, 0)
"""


class Numbers(msgspec.Struct):
    numbers: list[int]


def waiting(descriptor: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])


def test_a_write_that_a_signal_cuts_short_is_gone_on_with() -> None:
    command = [sys.executable, "-c", SENDER]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while not (before := waiting(process.stdout.fileno())) or before < waiting(process.stdout.fileno()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.stderr.read(waiting(process.stderr.fileno()) + 2)  # two more signals, now that it is full
        output, errors = process.communicate()
    done = subprocess.CompletedProcess(command, process.returncode, output.decode(), errors.decode())
    assert read_result("the sender", done, Numbers).numbers == list(range(50_000))


def test_what_came_instead_of_a_result_is_shown() -> None:
    done = subprocess.CompletedProcess([], 0, '{"numbers": [1, 2' + ", 3" * 1000, "cannot go on\n")
    with pytest.raises(RunFailed) as failure:
        read_result("the sender", done, Numbers)
    message = str(failure.value)
    assert message.startswith("the sender ended with exit code 0 and without a result: Input data was truncated.")
    assert "3017 characters" in message
    assert '{"numbers": [1, 2, 3' in message
    assert message.endswith("cannot go on\n")
    assert len(message) < 1000


def test_nothing_at_all_is_no_result() -> None:
    with pytest.raises(RunFailed, match=r"exit code -9 .* had 0 characters: ''"):
        read_result("the sender", subprocess.CompletedProcess([], -9, "", ""), Numbers)
