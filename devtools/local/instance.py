"""An instance: one running system for a checkout and a purpose, which another terminal can find and stop.

A file lock decides whether an instance runs: the kernel releases it when its process ends for any reason. The state
file beside it holds process ids and URLs. Process ids are reused, so a process must also have the recorded start time.
"""

import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from devtools.errors import InstanceRunningError, LocalError
from devtools.paths import CHECKOUT, instance_dir

POLL_INTERVAL = 0.05  # seconds
RESTART_REQUESTS = "restart"
"""A folder with an empty file for each part to restart."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process id with the start time, which differs for a later process with the same id."""

    pid: int
    started: int  # clock ticks since boot

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Return the identity of a process; None if it does not exist or is a zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else cls(pid, int(fields[18]))

    @property
    def alive(self) -> bool:
        return ProcessIdentity.of(self.pid) == self

    @property
    def age(self) -> float:
        """Seconds since its start."""
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return uptime - self.started / os.sysconf("SC_CLK_TCK")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class InstanceState:
    """The content of `state.json`: a running instance."""

    supervisor: ProcessIdentity
    urls: dict[str, str] = field(default_factory=dict)
    processes: dict[str, ProcessIdentity] = field(default_factory=dict)
    down: tuple[str, ...] = ()
    """The names of processes that are down."""

    @classmethod
    def read(cls, file: Path) -> "InstanceState | None":
        try:
            content: dict[str, Any] = json.loads(file.read_text())
            processes = {name: ProcessIdentity(**one) for name, one in content["processes"].items()}
            down = tuple(content.get("down", ()))
            return cls(ProcessIdentity(**content["supervisor"]), content["urls"], processes, down)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, file: Path) -> None:
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n")
        partial.rename(file)


class Instance:
    """The instance `name` (`up`, `demo`, `test`) of a checkout. Entering acquires its lock, leaving releases it.

    Entering raises InstanceRunningError, with the process id and URLs of the other process, if it is locked.
    """

    def __init__(self, name: str, *, checkout: Path = CHECKOUT, folder: Path | None = None) -> None:
        self.name = name
        self.dir = folder or instance_dir(name, checkout)
        self._state_file = self.dir / "state.json"
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise self._folder_error(error) from error
        lock = self._try_lock()
        for _ in range(10):  # reading `state` holds the lock for a moment
            if lock is not None:
                break
            time.sleep(POLL_INTERVAL / 2)
            lock = self._try_lock()
        if lock is None:
            raise self._running_error()
        self._lock = lock
        crashed = InstanceState.read(self._state_file)
        if crashed is not None:
            _kill(crashed.processes)
        self.record()
        return self

    def __exit__(self, *_: object) -> None:
        self._state_file.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def record(
        self,
        urls: Mapping[str, str] | None = None,
        pids: Mapping[str, int] | None = None,
        names: Iterable[str] = (),
    ) -> None:
        """Write the state file: URLs, running processes, and those of `names` that are down.

        Other terminals read it, and so does the next run after a crash.
        """
        supervisor = ProcessIdentity.of(os.getpid())
        if self._lock is None or supervisor is None:
            raise LocalError(f"Instance {self.name} is not locked by this process.")
        identities = {name: ProcessIdentity.of(pid) for name, pid in (pids or {}).items()}
        processes = {name: identity for name, identity in identities.items() if identity is not None}
        down = tuple(name for name in names if name not in processes)
        InstanceState(supervisor, dict(urls or {}), processes, down).write(self._state_file)

    @property
    def state(self) -> InstanceState | None:
        """The state of the running instance; None if it is not running."""
        try:
            self.dir.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._folder_error(error) from error
        lock = self._try_lock()
        if lock is not None:
            lock.close()
            return None
        return InstanceState.read(self._state_file)

    def stop(self, time_limit: float = 30.0) -> bool:
        """Stop the process that runs this instance and wait for its end; returns False if none was running.

        Sends SIGTERM, and after `time_limit` seconds SIGKILL, which also ends its servers and services.
        """
        state = self.state
        if state is None:
            return False
        state.supervisor.signal(signal.SIGTERM)
        if not self._wait_until_free(time_limit):
            state.supervisor.signal(signal.SIGKILL)
            if not self._wait_until_free(5.0):
                raise LocalError(f"Process {state.supervisor.pid} could not be stopped.")
            _kill(state.processes)
            self._state_file.unlink(missing_ok=True)
        return True

    def request_restart(self, part: str) -> None:
        """Request the restart of a service or server from the process that runs this instance."""
        (self.dir / RESTART_REQUESTS).mkdir(exist_ok=True)
        (self.dir / RESTART_REQUESTS / part).touch()

    def _try_lock(self) -> IO[str] | None:
        try:
            lock = (self.dir / "instance.lock").open("a")
        except OSError as error:
            raise self._folder_error(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def _folder_error(self, error: OSError) -> LocalError:
        return LocalError(
            f"The folder {self.dir} cannot be used: {error.strerror}. Name another folder in WARREN_CACHE."
        )

    def _running_error(self) -> InstanceRunningError:
        state = InstanceState.read(self._state_file)
        if state is None:
            return InstanceRunningError(f"`warren {self.name}` is starting in this checkout.", None, {})
        orders = f" Its order API: {state.urls['orders']}." if "orders" in state.urls else ""
        more = " `warren status` shows its processes, `make down` stops it." if self.name == "up" else ""
        return InstanceRunningError(
            f"`warren {self.name}` is already running in this checkout (pid {state.supervisor.pid}).{orders}{more}",
            state.supervisor.pid,
            state.urls,
        )

    def _wait_until_free(self, time_limit: float) -> bool:
        deadline = time.monotonic() + time_limit
        while self.state is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_INTERVAL)
        return True


def _kill(processes: Mapping[str, ProcessIdentity], time_limit: float = 5.0) -> None:
    """Kill the remaining processes of a crashed run and wait for their end."""
    deadline = time.monotonic() + time_limit
    for process in processes.values():
        process.signal(signal.SIGKILL)
    while any(process.alive for process in processes.values()) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
