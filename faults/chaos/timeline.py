"""One log of a chaos run in the order of time: every line of every process, and every fault."""

import threading
import time
from collections import Counter
from pathlib import Path

from faults.harness import REPEATED


class Timeline:
    """Writes lines of the form "seconds source text". Any thread may use it."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.file = file
        self._out = file.open("w", buffering=1 << 16)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self.counts: Counter[str] = Counter()

    def begin(self) -> None:
        """Count seconds from now on."""
        self._began = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    def write(self, source: str, text: str) -> None:
        with self._lock:
            self.counts["repeated events"] += REPEATED in text
            if not self._out.closed:
                self._out.write(f"{self.now:8.2f} {source:16} {text}\n")

    def close(self) -> None:
        with self._lock:
            self._out.close()
