"""The result of a child process arrives completely; other output is an error that shows it."""

import fcntl
import os
import struct
import subprocess
import sys
import termios
import time

import msgspec
import pytest

from loadtest.child import RunFailed, read_result

# A signal interrupts its write while the pipe is full.
SENDER = """
import os, signal
import msgspec
from loadtest.child import write_result
class Sent(msgspec.Struct):
    numbers: list[int]
signal.signal(signal.SIGALRM, lambda *_: os.write(2, b"."))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
write_result(Sent(list(range(50_000))))
signal.setitimer(signal.ITIMER_REAL, 0)
"""


class Numbers(msgspec.Struct):
    numbers: list[int]


def unread_bytes(descriptor: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])


def test_a_write_that_a_signal_interrupts_is_continued() -> None:
    command = [sys.executable, "-c", SENDER]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        deadline = time.monotonic() + 60
        while not (before := unread_bytes(process.stdout.fileno())) or before < unread_bytes(process.stdout.fileno()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.stderr.read(unread_bytes(process.stderr.fileno()) + 2)  # two more signals, now that it is full
        output, errors = process.communicate()
    done = subprocess.CompletedProcess(command, process.returncode, output.decode(), errors.decode())
    assert read_result("the sender", done, Numbers).numbers == list(range(50_000))


def test_other_output_is_shown() -> None:
    done = subprocess.CompletedProcess([], 0, '{"numbers": [1, 2' + ", 3" * 1000, "cannot go on\n")
    with pytest.raises(RunFailed) as failure:
        read_result("the sender", done, Numbers)
    message = str(failure.value)
    assert message.startswith("the sender ended with exit code 0 and without a result: Input data was truncated.")
    assert "3017 characters" in message
    assert '{"numbers": [1, 2, 3' in message
    assert message.endswith("cannot go on\n")
    assert len(message) < 1000


def test_no_output_is_no_result() -> None:
    with pytest.raises(RunFailed, match=r"exit code -9 .* had 0 characters: ''"):
        read_result("the sender", subprocess.CompletedProcess([], -9, "", ""), Numbers)
