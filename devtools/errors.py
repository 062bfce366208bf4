"""Errors of the local servers and of the runner.

LocalError
├── MachineError          this machine cannot run private servers
├── RootError             the private Debian root could not be built
├── ServerError           a server did not start, or ended unexpectedly; with its last log lines
├── PortTakenError        another process listens on a required port
├── InstanceRunningError  another process of this checkout runs the instance; with its URLs
└── ProcessFailedError    a supervised process ended unexpectedly; with its last log lines
"""

from collections.abc import Mapping

from warren.errors import WarrenError


class LocalError(WarrenError):
    """Base of the errors above; `str()` is ready to print."""


class MachineError(LocalError):
    """The machine lacks a requirement; a retry does not help."""


class RootError(LocalError):
    """The private Debian root could not be built. The next run starts from the beginning."""


class ServerError(LocalError):
    """A server did not start in time, or ended unexpectedly."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(f"{message}\n{log_tail}" if log_tail else message)
        self.log_tail = log_tail


class PortTakenError(LocalError):
    """Another process listens on a port that Warren needs."""


class InstanceRunningError(LocalError):
    """Another process runs this instance."""

    def __init__(self, message: str, pid: int | None, urls: Mapping[str, str]) -> None:
        super().__init__(message)
        self.pid = pid
        self.urls = dict(urls)


class ProcessFailedError(LocalError):
    """A supervised process ended without being stopped."""

    def __init__(self, name: str, exit_code: int, log_tail: str) -> None:
        ending = f" Its log ends:\n{log_tail}" if log_tail.strip() else " Its log is empty."
        super().__init__(f"{name} ended unexpectedly ({describe_exit(exit_code)}).{ending}".rstrip())
        self.name = name
        self.exit_code = exit_code
        self.log_tail = log_tail


def describe_exit(exit_code: int) -> str:
    """Describe an exit code: `-9` of subprocess and `137` of a shell both mean signal 9."""
    if exit_code < 0:
        return f"signal {-exit_code}"
    if exit_code > 128:
        return f"signal {exit_code - 128}"
    return f"exit code {exit_code}"
