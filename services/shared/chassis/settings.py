"""Settings from the environment, read once; all mistakes are reported together."""

import ipaddress
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.errors import ConfigurationError
from warren_messaging.postgres.database import DatabaseAddress

ENV_PREFIX = "WARREN_"

Seconds = Annotated[float, Meta(gt=0, le=30 * 86400)]
Days = Annotated[int, Meta(ge=1, le=3650)]
MIN_INBOX_DAYS = 30  # days
MIN_HISTORY_DAYS = 180  # days
ConnectionCount = Annotated[int, Meta(ge=1, le=1000)]
Port = Annotated[int, Meta(ge=1, le=65535)]

S = TypeVar("S", bound=msgspec.Struct)


class ProcessSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of every process. The field `log_level` is read from WARREN_LOG_LEVEL."""

    database_url: str
    """postgresql://role@host:port/database"""
    database_password_file: Path
    database_ca_file: Path
    database_connections: ConnectionCount = 4
    broker_url: str
    """amqps://host:port/vhost"""
    broker_credentials: Path
    """Folder with the files `username` and `password`."""
    broker_ca_file: Path
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
    startup_seconds: Annotated[float, Meta(ge=0, le=86400)] = 30.0
    """How long the process waits for its servers at startup before it ends with an error."""
    shutdown_seconds: Annotated[float, Meta(ge=0, le=86400)] = 20.0
    """How long work in progress may take after SIGTERM."""
    inbox_days: Annotated[int, Meta(ge=MIN_INBOX_DAYS, le=3650)] = 35
    """How long a repeated message is recognized. A failed message is recognized until it succeeds or is dropped, if
    that takes longer."""
    failures_days: Days = 30
    """How long the record of a failure is kept after the message was replayed or dropped."""
    history_days: Annotated[int, Meta(ge=0, le=36500)] = 0
    """How long orders, and all data about them, are kept after they are final; 0 keeps them for ever."""

    def require_consistent_retention(self) -> None:
        """Raise ConfigurationError if a message could return after the records that identify it as a repetition are
        removed."""
        if self.inbox_days < self.failures_days:
            raise ConfigurationError(
                f"settings: WARREN_INBOX_DAYS={self.inbox_days} is less than WARREN_FAILURES_DAYS={self.failures_days}:"
                " a failed message that is still on record must be recognized when it is replayed"
            )
        if self.history_days and self.history_days < max(MIN_HISTORY_DAYS, self.inbox_days):
            raise ConfigurationError(
                f"settings: WARREN_HISTORY_DAYS={self.history_days} is too short: orders are kept for at least"
                f" {MIN_HISTORY_DAYS} days, and at least WARREN_INBOX_DAYS={self.inbox_days}; 0 keeps them for ever"
            )

    @property
    def database(self) -> DatabaseAddress:
        return DatabaseAddress(self.database_url, self.database_password_file, self.database_ca_file)

    @property
    def broker(self) -> BrokerAddress:
        return BrokerAddress(self.broker_url, self.broker_credentials, self.broker_ca_file)


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


def load_settings(kind: type[S], environment: Mapping[str, str] = os.environ) -> S:
    """Read the settings of a process. Raises ConfigurationError that names every missing or wrong variable."""
    values: dict[str, object] = {}
    mistakes: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = ENV_PREFIX + field.name.upper()
        if name not in environment:
            if field.required:
                mistakes.append(f"{name} is not set")
            continue
        try:
            values[field.name] = _convert(environment[name], field.type)
        except msgspec.ValidationError as error:
            mistakes.append(f"{name}={environment[name]!r}: {_reason(error, field.type)}")
    if mistakes:
        raise ConfigurationError("settings: " + "; ".join(mistakes))
    return kind(**values)


def _reason(error: msgspec.ValidationError, wanted: object) -> str:
    return f"not one of {', '.join(get_args(wanted))}" if get_origin(wanted) is Literal else str(error)


def _convert(text: str, wanted: object) -> object:
    # dec_hook: msgspec does not know Path.
    return msgspec.convert(text, wanted, strict=False, dec_hook=lambda kind, value: kind(value))
