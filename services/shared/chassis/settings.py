"""Settings of the shop's processes, read from the environment by `load_settings`."""

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.errors import ConfigurationError
from warren_messaging.postgres.rate_limit import RateLimit
from warren_messaging.settings import ServiceSettings

ENV_PREFIX = "WARREN_"

Seconds = Annotated[float, Meta(gt=0, le=30 * 86400)]
MIN_INBOX_DAYS = 30  # days
MIN_HISTORY_DAYS = 180  # days
Port = Annotated[int, Meta(ge=1, le=65535)]


class ProcessSettings(ServiceSettings, frozen=True, kw_only=True):
    """Settings of every process. The field `log_level` is read from WARREN_LOG_LEVEL."""

    broker_url: str
    """amqps://host:port/vhost"""
    broker_credentials: Path
    """Folder with the files `username` and `password`."""
    broker_ca_file: Path
    database_url: str
    """postgresql://role@host:port/database"""
    database_password_file: Path
    database_ca_file: Path
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """0 takes any free port."""
    http_connections: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """Maximum of open connections; half of the process's file limit, if that is lower. One more connection closes the
    one that has been idle for longest."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Port of /livez, /readyz and /metrics. 0 takes any free port."""
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    inbox_days: Annotated[int, Meta(ge=MIN_INBOX_DAYS, le=3650)] = 35
    """How long a repeated message is recognised. A failed message is recognised until it succeeds or is dropped, if
    that takes longer."""
    history_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    """How long orders, and all data about them, are kept after they are final; 0 keeps them for ever."""

    def mistakes(self, variable: Callable[[str], str] = str) -> Iterator[str]:
        yield from super().mistakes(variable)
        if self.history_days and self.history_days < max(MIN_HISTORY_DAYS, self.inbox_days):
            yield (
                f"{variable('history_days')}={self.history_days} is too short: orders are kept for at least"
                f" {MIN_HISTORY_DAYS} days, and at least {variable('inbox_days')}={self.inbox_days}; 0 keeps them for"
                " ever"
            )


class DownstreamSettings(ProcessSettings, frozen=True, kw_only=True):
    """Settings of a process that calls an external system."""

    breaker_failures: Annotated[int, Meta(ge=1, le=1000)] = 10
    """Failed calls in a row after which the process makes no calls, and takes no messages, for a time."""
    breaker_open_seconds: Seconds = 5.0
    """Time without calls before a trial call; it doubles with each trial call that fails."""
    breaker_max_open_seconds: Seconds = 30.0
    """Maximum time between two trial calls."""
    rate_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0
    """Maximum number of calls per second of all replicas together; 0: no limit."""
    rate_burst: Annotated[int, Meta(ge=1, le=100_000)] = 10
    """Maximum number of calls at once after a pause, if there is a limit."""

    def mistakes(self, variable: Callable[[str], str] = str) -> Iterator[str]:
        yield from super().mistakes(variable)
        if self.breaker_max_open_seconds < self.breaker_open_seconds:
            yield (
                f"{variable('breaker_max_open_seconds')}={self.breaker_max_open_seconds} is less than"
                f" {variable('breaker_open_seconds')}={self.breaker_open_seconds}"
            )

    def breaker(self, name: str, *errors: type[Exception]) -> CircuitBreaker:
        """`errors` are the exceptions that mean that the external system fails."""
        return CircuitBreaker(
            name,
            failures=self.breaker_failures,
            open_seconds=self.breaker_open_seconds,
            max_open_seconds=self.breaker_max_open_seconds,
            errors=errors,
        )

    def rate_limit(self, name: str) -> RateLimit | None:
        return RateLimit(name, self.rate_per_second, self.rate_burst) if self.rate_per_second else None


def load_json_file(path: Path, kind: Any, content: str) -> Any:
    """Returns the file at `path`, which a setting names, as `kind`. Raises ConfigurationError with the mistake."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ConfigurationError(f"cannot read the {content} from {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{content} in {path}: {error}") from error


def is_loopback(host: str) -> bool:
    """Whether `host` is an address of this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
