"""Restarts services and servers of a running system that end unexpectedly, a limited number of times.

Each end is reported with the last line of the log. The other parts keep running, also when a part stays down after too
many failures. Another process requests a restart with `Instance.request_restart`.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devtools.errors import LocalError
from devtools.local.instance import RESTART_REQUESTS
from devtools.processes.supervisor import Supervisor

POLL_INTERVAL = 0.1  # seconds


class WatchedPart(Protocol):
    """A service (ServicePart) or a server (devtools.servers.server.Server)."""

    def failure(self) -> LocalError | None:
        """Return how it ended, if it ended unexpectedly."""

    def start(self) -> None:
        """Start it. Raises LocalError."""

    def stop(self) -> None:
        """Stop it, or end a start in progress."""


@dataclass(frozen=True)
class ServicePart:
    supervisor: Supervisor
    name: str

    def failure(self) -> LocalError | None:
        return self.supervisor.failure(self.name)

    def start(self) -> None:
        self.supervisor.restart_ended(self.name)

    def stop(self) -> None:
        self.supervisor.stop(self.name)


@dataclass
class Backoff:
    """At most `limit` restarts in a row, after growing pauses.

    The count starts again for a part that ran for `recovered_after` seconds.
    """

    limit: int = 5
    first_pause: float = 0.5
    recovered_after: float = 60.0
    failures: int = 0

    def pause(self, ran: float) -> float | None:
        """Return the seconds to wait after a failure of a part that ran for `ran` seconds; None at the limit."""
        self.failures = 1 if ran >= self.recovered_after else self.failures + 1
        return None if self.failures > self.limit else self.first_pause * 2.0 ** (self.failures - 1)


@dataclass
class _Watched:
    part: WatchedPart
    backoff: Backoff
    started_at: float
    due_at: float | None = None
    starting: "Future[None] | None" = None
    down: bool = False


class RestartWatch:
    """Calls `announce` with a line to print, and `changed` after a process has started or ended."""

    def __init__(
        self,
        parts: Mapping[str, WatchedPart],
        folder: Path,
        announce: Callable[[str], None],
        changed: Callable[[], None] = lambda: None,
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._new_backoff = backoff
        self._watched = {name: _Watched(part, backoff(), time.monotonic()) for name, part in parts.items()}
        self._requests = folder / RESTART_REQUESTS
        self._announce = announce
        self._changed = changed
        for name in self._requested():  # left by an earlier run
            self._remove_request(name)

    def run(self, until: threading.Event | None = None) -> None:
        """Run until the event is set, or until an exception such as KeyboardInterrupt."""
        until = until or threading.Event()
        try:
            while not until.wait(POLL_INTERVAL):
                for name in self._requested():
                    self._restart(name)
                for name, one in self._watched.items():
                    self._check(name, one)
        finally:
            for one in self._watched.values():
                if one.starting is not None and not one.starting.done():
                    one.part.stop()

    def _check(self, name: str, one: _Watched) -> None:
        now = time.monotonic()
        if one.starting is not None:
            if one.starting.done():
                error = one.starting.exception()
                one.starting = None
                if error is None:
                    one.started_at = now
                    self._announce(f"{name} is running again")
                    self._changed()
                else:
                    self._failed(name, one, str(error) or repr(error), ran=0.0)
        elif one.due_at is not None:
            if now >= one.due_at:
                one.due_at = None
                one.starting = _in_background(one.part.start)
        elif not one.down and (failure := one.part.failure()):
            self._failed(name, one, str(failure), ran=now - one.started_at)
            self._changed()

    def _failed(self, name: str, one: _Watched, message: str, ran: float) -> None:
        headline, *rest = message.splitlines()
        pause = one.backoff.pause(ran)
        if pause is not None:
            one.due_at = time.monotonic() + pause
            last = f" {rest[-1].strip()}" if rest else ""
            self._announce(f"{headline}{last}")
            self._announce(f"{name} restarts in {pause:g} s ({one.backoff.failures} of {one.backoff.limit})")
        else:
            one.down = True
            self._announce(message)
            self._announce(
                f"{name} stays down after {one.backoff.limit} restarts; the other parts keep running."
                f" Start it with: warren restart {name}"
            )

    # Requests from another process

    def _requested(self) -> Iterable[str]:
        return sorted(file.name for file in self._requests.glob("*"))

    def _remove_request(self, name: str) -> None:
        (self._requests / name).unlink(missing_ok=True)

    def _restart(self, name: str) -> None:
        one = self._watched.get(name)
        if one is None or one.starting is not None:
            if one is None:
                self._remove_request(name)
            return

        def again() -> None:
            one.part.stop()
            one.part.start()

        self._announce(f"{name} restarts on request")
        one.down, one.due_at = False, None
        one.backoff = self._new_backoff()
        one.starting = _in_background(again)
        self._remove_request(name)


def _in_background(work: Callable[[], None]) -> "Future[None]":
    """Run on a daemon thread: the start of a server may take a minute."""
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
            future.set_result(None)
        except BaseException as error:  # noqa: BLE001 (the future passes it on)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
