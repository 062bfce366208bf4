"""Errors of the local runner. Each says what is wrong, where, and what to do about it.

LocalError
├── MachineError          this machine cannot run private servers as it is
├── RootError             the private Debian root could not be built
├── ServerError           a server did not start, or died; carries its last log lines
├── PortTakenError        somebody else listens on a port that must be ours
├── InstanceRunningError  this checkout already has such an instance; carries its state
└── ProcessFailedError    a supervised process ended by itself; carries its last log lines
"""

from collections.abc import Mapping

from warren.errors import WarrenError


class LocalError(WarrenError):
    """Something the person at the keyboard can act on; `str()` is ready to print."""


class MachineError(LocalError):
    """This machine lacks something that no retry will bring."""


class RootError(LocalError):
    """The private Debian root could not be built; a later run starts again from nothing."""


class ServerError(LocalError):
    """A server did not start in time, or ended by itself."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(f"{message}\n{log_tail}" if log_tail else message)
        self.log_tail = log_tail


class PortTakenError(LocalError):
    """A port that Warren needs is held by another process."""


class InstanceRunningError(LocalError):
    """Another process holds this instance."""

    def __init__(self, message: str, pid: int | None, urls: Mapping[str, str]) -> None:
        super().__init__(message)
        self.pid = pid
        self.urls = dict(urls)


class ProcessFailedError(LocalError):
    """A supervised process ended although nobody asked it to."""

    def __init__(self, name: str, exit_code: int, log_tail: str) -> None:
        words = f" Its last words:\n{log_tail}" if log_tail.strip() else " It left no words in its log."
        super().__init__(f"{name} ended unexpectedly ({describe_exit(exit_code)}).{words}".rstrip())
        self.name = name
        self.exit_code = exit_code
        self.log_tail = log_tail


def describe_exit(exit_code: int) -> str:
    """`-9` as subprocess gives it, or `137` as a shell gives it, in words."""
    if exit_code < 0:
        return f"signal {-exit_code}"
    if exit_code > 128:
        return f"signal {exit_code - 128}"
    return f"exit code {exit_code}"
