"""Runs service processes and writes the output of each to a log file.

`check` and `wait` raise an error, with the last lines of the log, when a process ends unexpectedly. `warren up`
restarts the process instead: see devtools/local/watch.py.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NoReturn, Self

from devtools.errors import LocalError, ProcessFailedError
from devtools.processes.die_with_parent import die_with_parent, spawn, tail
from devtools.processes.log_file import LogFile, pump

OnLine = Callable[[str, str], None]
POLL_INTERVAL = 0.1  # seconds
LAST_LINES = 20


@dataclass(frozen=True)
class ProcessSpec:
    """A command to run. `env` is added to the supervisor's own environment, and overrides it."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None


@dataclass
class _Started:
    spec: ProcessSpec
    popen: subprocess.Popen[bytes]
    pump: threading.Thread
    stopping: bool = False


class Supervisor:
    """Starts, watches and stops processes. `on_line(name, line)` is called from one thread per process.

    `grace` is the time in seconds between SIGTERM and SIGKILL. If the supervisor dies, the kernel kills its processes.
    """

    def __init__(self, log_dir: Path, on_line: OnLine | None = None, grace: float = 15.0) -> None:
        self._log_dir = log_dir
        self._on_line = on_line
        self._grace = grace
        self._started: dict[str, _Started] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the running processes, by name."""
        return {name: one.popen.pid for name, one in list(self._started.items()) if one.popen.poll() is None}

    @property
    def ended(self) -> dict[str, int]:
        """The exit codes (negative: the signal) of processes that ended unexpectedly, by name."""
        codes = {name: one.popen.poll() for name, one in list(self._started.items()) if not one.stopping}
        return {name: code for name, code in codes.items() if code is not None}

    def log_file(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"

    def start(self, process: ProcessSpec, *, keep_log: bool = False) -> None:
        """Start a process. Its log is emptied unless `keep_log`. Raises LocalError if a process of that name runs."""
        if process.name in self.pids:
            raise LocalError(f"{process.name} is already running.")
        log = LogFile(self.log_file(process.name), append=keep_log)
        popen = spawn(
            die_with_parent(process.argv),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **process.env},
            cwd=process.cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert popen.stdout is not None  # noqa: S101 (stdout is a pipe)
        thread = pump(process.name, popen.stdout, log, lambda line: self._show(process.name, line))
        self._started[process.name] = _Started(process, popen, thread)

    @property
    def names(self) -> list[str]:
        """Names of all processes that have been started, running or not."""
        return list(self._started)

    def failure(self, name: str) -> ProcessFailedError | None:
        """Return an error with the exit code and the last log lines of a process that ended unexpectedly, else None."""
        one = self._started[name]
        exit_code = one.popen.poll()
        if exit_code is None or one.stopping:
            return None
        one.pump.join(1.0)
        return ProcessFailedError(name, exit_code, tail(self.log_file(name), LAST_LINES))

    def restart_ended(self, name: str) -> None:
        """Start an ended process with the same command; appends to its log."""
        self.start(self._started[name].spec, keep_log=True)

    def check(self) -> None:
        """Raises ProcessFailedError if a process has ended unexpectedly."""
        for name in self.names:
            if failure := self.failure(name):
                raise failure

    def wait(self, until: threading.Event | None = None, time_limit: float | None = None) -> bool:
        """Wait for the event; returns False after `time_limit` seconds without it.

        Raises ProcessFailedError as soon as a process ends unexpectedly.
        """
        until = until or threading.Event()
        deadline = None if time_limit is None else time.monotonic() + time_limit
        while not until.wait(POLL_INTERVAL):
            self.check()
            if deadline is not None and time.monotonic() > deadline:
                return False
        return True

    def stop(self, name: str) -> int:
        """Send SIGTERM, and SIGKILL `grace` seconds later; returns the exit code (negative: the signal)."""
        return self._stop([self._started[name]])[name]

    def kill(self, name: str) -> None:
        """Kill the process and its children with SIGKILL. `check` does not count this as a failure."""
        one = self._started[name]
        one.stopping = True
        _signal_group(one.popen, signal.SIGKILL)
        one.popen.wait()

    def restart(self, name: str, *, kill: bool = False) -> None:
        """Stop (or `kill`) the process and start the same command with an empty log."""
        one = self._started[name]
        if kill:
            self.kill(name)
        else:
            self.stop(name)
        self.start(one.spec)

    def stop_all(self) -> dict[str, int]:
        """Stop all processes in parallel; returns the exit codes by name."""
        return self._stop(list(self._started.values()))

    def _stop(self, started: list[_Started]) -> dict[str, int]:
        for one in started:
            one.stopping = True
            if one.popen.poll() is None:
                one.popen.terminate()
        deadline = time.monotonic() + self._grace
        for one in started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.popen.wait(max(0.0, deadline - time.monotonic()))
            # Children of the process may still run in its process group.
            _signal_group(one.popen, signal.SIGKILL)
        codes = {one.spec.name: one.popen.wait() for one in started}
        for one in started:
            one.pump.join(2.0)
        return codes

    def _show(self, name: str, line: bytes) -> None:
        if self._on_line is not None:
            self._on_line(name, line.decode(errors="replace").rstrip("\n"))


def _signal_group(popen: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, number)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt within the block, as Ctrl-C does. Only for the main thread.

    So `finally` blocks also run when `kill`, `warren down` or a closed terminal ends the program.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
