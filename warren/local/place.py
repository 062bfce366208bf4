"""Where one server lives: in the private Debian root, or in a Docker container. Servers see no difference."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol

__all__ = ["Place"]


class Place(Protocol):
    """Paths are as the server sees them."""

    @property
    def listen_host(self) -> str:
        """The address to bind, such that the server is reachable on this machine's loopback only."""

    @property
    def data(self) -> PurePosixPath:
        """A folder that the server may write to and that stays between runs."""

    def file(self, name: str) -> PurePosixPath:
        """Where `launch` puts the file of that name."""

    def launch(
        self, argv: Sequence[str], env: Mapping[str, str], files: Mapping[str, bytes], ports: Sequence[int]
    ) -> list[str]:
        """Writes the files and returns the command line that runs `argv` in the foreground until it ends.

        The process of that command line dies, and all the server's processes with it, when this one does.
        """

    def send(self, process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Sends a signal to the server that `launch`'s command line runs; SIGKILL spares none of its processes."""

    def run(self, argv: Sequence[str], env: Mapping[str, str], time_limit: float = 60.0) -> str:
        """Runs one command to its end and returns its standard output. Raises ServerError if it fails."""

    def erase(self) -> None:
        """Deletes all data. For a stopped server only."""

    def release(self) -> None:
        """Lets go of what only a running server needs."""
