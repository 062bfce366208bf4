"""The file that keeps messages dropped from a parking lot."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Self

from warren.cli.screen import json_line
from warren.errors import ClientError


def state_folder() -> Path:
    """Return the default folder. It is outside any checkout, where it could be committed or deleted."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base).absolute() / "warren" / "dropped"


class DropRecord:
    """A file of JSON lines, created at the first write. A document is on disk when `write` returns."""

    def __init__(self, path: Path | None = None) -> None:
        name = f"dropped-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl"
        self._make_folder = path is None
        self.path = (path or state_folder() / name).absolute()
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, documents: Iterable[dict[str, Any]]) -> None:
        """Raises ClientError if the file cannot be written: the messages must not be dropped then."""
        try:
            if self._file is None:
                if self._make_folder:
                    self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                # Messages contain customers' data: only the owner may read them.
                self._file = os.fdopen(
                    os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8"
                )
                self._sync_folder()
            for document in documents:
                self._file.write(f"{json_line(document)}\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ClientError(f"{self.path} cannot be written ({error.strerror}): nothing more was dropped") from error

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
