"""What PostgreSQL and RabbitMQ have in common: start and wait until ready, stop, kill, start again."""

import re
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from warren.local.errors import ServerError, describe_exit
from warren.local.spawn import spawn

__all__ = ["Server", "tail"]

POLL_INTERVAL = 0.02  # seconds
LOG_LIMIT = 20 * 2**20  # bytes; a longer log is set aside at the next start


class Server(ABC):
    """One server process. Methods may be called from any thread, one at a time per server."""

    name: ClassVar[str]
    ready_line: ClassVar[re.Pattern[bytes]]  # written to the log once clients are served
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_limit: float = 90.0  # seconds
    stop_limit: float = 20.0  # seconds

    def __init__(self, log_file: Path) -> None:
        self.log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    @abstractmethod
    def _prepare(self) -> list[str]:
        """Writes configuration, makes the data folder if there is none, and returns the command line."""

    @property
    def pid(self) -> int | None:
        """The process to watch, in this machine's numbering; None while stopped."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    @property
    def running(self) -> bool:
        return self.pid is not None

    def start(self) -> None:
        """Returns when clients are served. Does nothing if it runs. Raises ServerError with the log's end."""
        with self._lock:
            if self.running:
                return
            command = self._prepare()
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT:
                self.log_file.replace(self.log_file.with_suffix(".old.log"))
            with self.log_file.open("ab") as log:
                offset = log.tell()
                self._process = spawn(command, stdout=log, stderr=subprocess.STDOUT)
            try:
                self._wait_until_ready(self._process, offset)
            except BaseException:
                self.kill()
                raise

    def stop(self) -> None:
        """A clean shutdown; killed if it takes longer than `stop_limit`. Does nothing while stopped."""
        with self._lock:
            process = self._process
            if process is None:
                return
            if process.poll() is None:
                process.send_signal(self.stop_signal)
                try:
                    process.wait(self.stop_limit)
                except subprocess.TimeoutExpired:
                    self.kill()
            self._process = None

    def kill(self) -> None:
        """SIGKILL, as a crash would be. On return every process of the server is gone."""
        with self._lock:
            process = self._process
            if process is None:
                return
            if process.poll() is None:
                process.send_signal(signal.SIGUSR1)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._process = None

    def restart(self, *, kill: bool = False) -> None:
        """Stops, by SIGKILL if `kill`, and starts on the same ports with the same data."""
        with self._lock:
            if kill:
                self.kill()
            else:
                self.stop()
            self.start()

    def log_tail(self, lines: int = 25) -> str:
        return tail(self.log_file, lines)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], offset: int) -> None:
        deadline = time.monotonic() + self.start_limit
        while True:
            ended = process.poll()
            with self.log_file.open("rb") as log:
                log.seek(offset)
                if self.ready_line.search(log.read()):
                    return
            if ended is not None:
                raise ServerError(
                    f"{self.name} did not start ({describe_exit(ended)}). Its log, {self.log_file}, ends:",
                    self.log_tail(),
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{self.name} was not ready within {self.start_limit:.0f} s. Its log, {self.log_file}, ends:",
                    self.log_tail(),
                )
            time.sleep(POLL_INTERVAL)


def tail(file: Path, lines: int) -> str:
    """The last `lines` lines of a log that may be long, or may not exist."""
    try:
        with file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - 400 * lines))
            text = log.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
