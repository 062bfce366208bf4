"""The log of one process, of bounded size.

At `LIMIT` bytes the file is renamed to `<name>.old.log`, replacing an earlier one, and a new file starts. So a log
takes at most twice the limit on disk.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

LIMIT = 20 * 2**20  # bytes
MAX_LINE = 2**16  # bytes; a longer line is written in pieces


class LogFile:
    """A log with one writer; not thread-safe."""

    def __init__(self, path: Path, *, append: bool, limit: int = LIMIT) -> None:
        self._path = path
        self._limit = limit
        path.parent.mkdir(parents=True, exist_ok=True)
        self._open(append=append)

    def write(self, line: bytes) -> None:
        """Append a line. Raises OSError; the log stays usable."""
        if self._size + len(line) > self._limit:
            self._path.replace(self._path.with_suffix(".old.log"))
            self._file.close()
            self._open(append=False)
        self._size += self._file.write(line)

    def close(self) -> None:
        self._file.close()

    def _open(self, *, append: bool) -> None:
        self._file = self._path.open("ab" if append else "wb", buffering=0)
        self._size = self._file.tell()


def pump(name: str, stream: IO[bytes], log: LogFile, on_line: Callable[[bytes], None]) -> threading.Thread:
    """Start a thread that copies lines to the log and passes them to `on_line` until the stream ends."""

    def copy() -> None:
        with contextlib.closing(log), stream:
            while line := stream.readline(MAX_LINE):
                # On a full disk lines are lost, but the process must not block on its pipe.
                with contextlib.suppress(OSError):
                    log.write(line)
                on_line(line)

    thread = threading.Thread(target=copy, name=f"log-{name}", daemon=True)
    thread.start()
    return thread
