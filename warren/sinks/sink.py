"""The base of the sinks: a server that stores messages instead of delivering them, and refuses some."""

import ssl
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

import msgspec

LOOPBACK = "127.0.0.1"
TEMPORARY_REFUSALS = 2

Message = TypeVar("Message", bound=msgspec.Struct)


class Startable(ABC):
    """Entering starts it, leaving stops it."""

    @abstractmethod
    def start(self) -> None:
        """Return when clients can connect. Raises OSError if the port is taken."""

    @abstractmethod
    def stop(self) -> None:
        """Close all connections and wait for the end of the threads."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Sink(Startable, Generic[Message]):
    """Stores messages in `messages`, and as JSON lines in `file`.

    `refused` maps the beginning of a recipient to the code of a refusal and the number of refused attempts (None: all).
    `refuse` adds recipients. Port 0 takes a free port, whose number is in `port` after the start.
    """

    refused: ClassVar[Mapping[str, tuple[int, int | None]]]

    def __init__(self, host: str, port: int, file: Path | None, tls: ssl.SSLContext | None) -> None:
        self.host = host
        self.port = port
        self.messages: list[Message] = []
        self._file = file
        self._tls = tls
        self._refusals: dict[str, tuple[int, int | None]] = {}

    def refuse(self, recipient: str, code: int, *, times: int | None = None) -> None:
        """Respond with `code` to this recipient `times` times; None: always."""
        self._refusals[recipient] = (code, times)

    def _refusal(self, recipient: str) -> int | None:
        """Return the code of a refusal, and count it."""
        for beginning, refusal in self.refused.items():
            if recipient.startswith(beginning):
                self._refusals.setdefault(recipient, refusal)
        code, times = self._refusals.get(recipient, (0, 0))
        if times == 0:
            return None
        self._refusals[recipient] = (code, None if times is None else times - 1)
        return code

    def _store(self, message: Message) -> None:
        self.messages.append(message)
        if self._file is not None:
            with self._file.open("ab") as file:
                file.write(msgspec.json.encode(message) + b"\n")
