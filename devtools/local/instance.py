"""One running Warren per checkout and purpose, findable and stoppable from another terminal.

The lock is the truth about whether an instance runs: the kernel holds it for a process and lets go when that process
ends in any way. The state file beside it only says who and where. A process is believed to be the one written there
only if its start time agrees, since process ids are used again.
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
from types import TracebackType
from typing import IO, Any, Self

from devtools.errors import InstanceRunningError, LocalError
from devtools.paths import CHECKOUT, instance_dir

__all__ = ["REQUESTS", "Instance", "ProcessIdentity", "InstanceState"]

POLL_INTERVAL = 0.05  # seconds
REQUESTS = "restart"
"""A folder with an empty file for each part that is to be restarted."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process, told apart from a later one of the same id by when it started."""

    pid: int
    started: int  # clock ticks since boot

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """None if there is no such process, or it is dead and only waits to be collected."""
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
        """Seconds since it was started."""
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return uptime - self.started / os.sysconf("SC_CLK_TCK")

    def signal(self, number: signal.Signals) -> None:
        """Sends it unless the process is gone, or is another by now."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


@dataclass(frozen=True)
class InstanceState:
    """What `state.json` says about a running instance."""

    supervisor: ProcessIdentity
    urls: dict[str, str] = field(default_factory=dict)
    processes: dict[str, ProcessIdentity] = field(default_factory=dict)
    down: tuple[str, ...] = ()
    """Names of processes that should run and do not."""

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
    """The instance `name` (`up`, `demo`, `test`) of this checkout. Entering takes it, leaving lets go.

    Entering raises InstanceRunningError, with the holder's process id and URLs, if another process has it.
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
            raise self._unusable(error) from error
        lock = self._try_lock()
        for _ in range(10):  # somebody who only looks holds the lock for a moment
            if lock is not None:
                break
            time.sleep(POLL_INTERVAL / 2)
            lock = self._try_lock()
        if lock is None:
            raise self._already_running()
        self._lock = lock
        crashed = InstanceState.read(self._state_file)
        if crashed is not None:
            _end(crashed.processes)
        self.record()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
        """Writes down, for other terminals and for cleaning up after a crash, what runs and where, and which of `names`
        do not run."""
        supervisor = ProcessIdentity.of(os.getpid())
        if self._lock is None or supervisor is None:
            raise LocalError(f"Instance {self.name} is not held by this process.")
        identities = {name: ProcessIdentity.of(pid) for name, pid in (pids or {}).items()}
        processes = {name: identity for name, identity in identities.items() if identity is not None}
        down = tuple(name for name in names if name not in processes)
        InstanceState(supervisor, dict(urls or {}), processes, down).write(self._state_file)

    @property
    def state(self) -> InstanceState | None:
        """Who runs this instance; None if nobody does."""
        try:
            self.dir.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        lock = self._try_lock()
        if lock is not None:
            lock.close()
            return None
        return InstanceState.read(self._state_file)

    def stop(self, time_limit: float = 30.0) -> bool:
        """Ends the process that runs this instance, and returns True when all of it is gone; False if none ran.

        SIGTERM first; SIGKILL after `time_limit` seconds, which its servers and services do not survive either.
        """
        state = self.state
        if state is None:
            return False
        state.supervisor.signal(signal.SIGTERM)
        if not self._wait_until_free(time_limit):
            state.supervisor.signal(signal.SIGKILL)
            if not self._wait_until_free(5.0):
                raise LocalError(f"Process {state.supervisor.pid} could not be stopped.")
            _end(state.processes)
            self._state_file.unlink(missing_ok=True)
        return True

    def request_restart(self, part: str) -> None:
        """Asks the process that runs this instance to restart a service or server; it does so within a moment."""
        (self.dir / REQUESTS).mkdir(exist_ok=True)
        (self.dir / REQUESTS / part).touch()

    def _try_lock(self) -> IO[str] | None:
        try:
            lock = (self.dir / "instance.lock").open("a")
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def _unusable(self, error: OSError) -> LocalError:
        return LocalError(
            f"The folder {self.dir} cannot be used: {error.strerror}. Name another place for it in WARREN_CACHE."
        )

    def _already_running(self) -> InstanceRunningError:
        state = InstanceState.read(self._state_file)
        if state is None:
            return InstanceRunningError(f"`warren {self.name}` is just being started in this checkout.", None, {})
        orders = f" Orders are taken at {state.urls['orders']}." if "orders" in state.urls else ""
        more = " `warren status` shows all of it, `make down` stops it." if self.name == "up" else ""
        return InstanceRunningError(
            f"`warren {self.name}` already runs in this checkout (pid {state.supervisor.pid}).{orders}{more}",
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


def _end(processes: Mapping[str, ProcessIdentity], time_limit: float = 5.0) -> None:
    """Kills what a crashed run left behind and waits until it is gone."""
    deadline = time.monotonic() + time_limit
    for process in processes.values():
        process.signal(signal.SIGKILL)
    while any(process.alive for process in processes.values()) and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL)
