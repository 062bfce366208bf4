"""The file that keeps what was dropped from a parking lot."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from warren.cli.dossier import line
from warren.client import ClientError


class DroppedFile:
    """JSON lines, made at the first write; what `write` has returned for survives a crash of the machine."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = (path or Path(f"dropped-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.jsonl")).absolute()
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, documents: Sequence[dict[str, Any]]) -> None:
        """Raises ClientError when the file cannot be written; nothing may be dropped then."""
        try:
            if self._file is None:
                # Messages tell of customers: readable by their finder alone.
                self._file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a")
                self._sync_folder()
            self._file.writelines(f"{line(document)}\n" for document in documents)
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
