"""The base of PostgreSQL and RabbitMQ: start and wait until ready, stop, kill, restart."""

import re
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import ClassVar

from devtools.errors import ServerError, describe_exit
from devtools.processes.die_with_parent import spawn, tail
from devtools.processes.log_file import LogFile, pump
from devtools.servers.runtime import ServerRuntime

POLL_INTERVAL = 0.02  # seconds
LAST_LINES = 25


class Server(ABC):
    """One server process. Methods may be called from any thread."""

    name: ClassVar[str]
    ready_line: ClassVar[re.Pattern[bytes]]  # in the log when clients can connect
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_limit: float = 180.0  # seconds
    stop_limit: float = 20.0  # seconds

    def __init__(self, runtime: ServerRuntime, log_file: Path) -> None:
        self._runtime = runtime
        self.log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._pump: threading.Thread | None = None
        self._output = b""  # of the current start
        self._serving = False  # from the end of a start to the beginning of a stop
        self._abandoned = threading.Event()
        self._starting = threading.Lock()

    @abstractmethod
    def _prepare_command(self) -> list[str]:
        """Write the configuration; returns the command that runs the server."""

    def _check_version(self, output: bytes) -> None:  # noqa: B027 (optional)
        """Raises ServerError if the log of this start shows an unsuitable version."""

    @property
    def pid(self) -> int | None:
        """The process id on this machine; None while stopped."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        """Start the server unless it is running, and wait until clients can connect. Raises ServerError."""
        with self._starting:
            if self.running:
                return
            self._abandoned.clear()
            command = self._prepare_command()
            self._serving = False
            self._output = b""
            log = LogFile(self.log_file, append=True)
            process = self._process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            assert process.stdout is not None  # noqa: S101 (stdout is a pipe)
            self._pump = pump(self.name, process.stdout, log, self._collect)
            try:
                self._wait_until_ready(process)
                self._serving = True
            except BaseException:
                self.kill()
                raise

    def failure(self) -> ServerError | None:
        """Return how the server ended, if it ended unexpectedly."""
        process = self._process
        exit_code = None if process is None else process.poll()
        if exit_code is None or not self._serving:
            return None
        return self._error(f"ended unexpectedly ({describe_exit(exit_code)})")

    def stop(self) -> None:
        """Shut the server down, or kill it after `stop_limit` seconds. Also ends a start in progress."""
        self._serving = False
        self._abandoned.set()
        process = self._process
        if process is not None and process.poll() is None:
            self._runtime.send(process, self.stop_signal)
            try:
                process.wait(self.stop_limit)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """Send SIGKILL, like a crash, and wait until all its processes are gone. Also ends a start in progress."""
        self._serving = False
        self._abandoned.set()
        process = self._process
        if process is not None and process.poll() is None:
            self._runtime.send(process, signal.SIGKILL)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def erase(self) -> None:
        """Delete all data of the stopped server."""
        self._runtime.erase()

    def release(self) -> None:
        """Free the resources of a stopped server; `start` creates them again."""
        self._runtime.release()

    def restart(self, *, kill: bool = False) -> None:
        """Stop, by SIGKILL if `kill`, and start on the same ports with the same data."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def _collect(self, line: bytes) -> None:
        if not self._serving:
            self._output += line

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_limit
        while True:
            ended = process.poll()
            output = self._output
            if self.ready_line.search(output) and ended is None:
                self._check_version(output)
                return
            if self._abandoned.is_set():
                raise ServerError(f"The start of {self.name} was interrupted.")
            if ended is not None:
                raise self._error(f"did not start ({describe_exit(ended)})")
            if time.monotonic() > deadline:
                raise self._error(f"was not ready within {self.start_limit:.0f} s")
            time.sleep(POLL_INTERVAL)

    def _error(self, what: str) -> ServerError:
        if self._pump is not None:
            self._pump.join(0.5)  # it ends with the server; then the last lines are in the log
        return ServerError(f"{self.name} {what}. Its log, {self.log_file}, ends:", tail(self.log_file, LAST_LINES))


def start_all(servers: Iterable[Server]) -> None:
    """Start all in parallel. After an error or an interruption none is running."""
    servers = list(servers)
    with ThreadPoolExecutor(len(servers)) as pool:
        calls = [pool.submit(server.start) for server in servers]
        try:
            wait(calls)
            for call in calls:
                call.result()
        except BaseException:
            for server in servers:
                server.kill()
            raise


def stop_all(servers: Iterable[Server]) -> None:
    """Stop all in parallel."""
    servers = list(servers)
    with ThreadPoolExecutor(len(servers)) as pool:
        for call in [pool.submit(server.stop) for server in servers]:
            call.result()
