"""The watch of `warren up` over the system, and kills that it notices."""

import os
import signal
import threading
import time
from collections.abc import Callable

from devtools.local.system import System


class Watched:
    """The system with a watch that runs, as `warren up` runs it."""

    def __init__(self, system: System) -> None:
        self.lines: list[str] = []
        self.recorded = 0
        self._system = system
        self._enough = threading.Event()
        self._thread = threading.Thread(target=system.watch(self.lines.append, self._record).run, args=(self._enough,))
        self._thread.start()

    def _record(self) -> None:
        self.recorded += 1

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it runs again."""
        pid, announced = self._system.pids[name], len(self.lines)
        killed_at = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self._until(lambda: any(f"{name} ended unexpectedly" in line for line in self.lines[announced:]), 30)
        # At once is what a person takes for it; noticed by a time-out would be half a minute and more.
        assert time.monotonic() - killed_at < 20
        self._until(lambda: f"{name} is running again" in self.lines[announced:], 120)
        assert self._system.pids[name] != pid

    def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()
