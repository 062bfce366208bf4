"""Everything that was said during a run, in one file and one order: by every process, and about every fault."""

import threading
import time
from pathlib import Path

REPEATED = "repeated, no effect"
"""What the library says of an event that its inbox knows."""


class Timeline:
    """Lines of the form "seconds who what". Safe to use from any thread."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._out = file.open("w", buffering=1 << 16)
        self._lock = threading.Lock()
        self.began = time.monotonic()
        self.counted = {"repeated": 0}
        """How often something was said."""

    def begin(self) -> None:
        """Count seconds from now on."""
        self.began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.began

    def note(self, who: str, what: str) -> None:
        with self._lock:
            self.counted["repeated"] += REPEATED in what
            if not self._out.closed:
                self._out.write(f"{self.now:8.2f} {who:16} {what}\n")

    def close(self) -> None:
        with self._lock:
            self._out.close()
