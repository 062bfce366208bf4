"""Settings from the environment: read once, and all mistakes reported together."""

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from warren_messaging.amqp.connection import BrokerAddress
from warren_messaging.errors import ConfigurationError
from warren_messaging.postgres.database import DatabaseAddress

Days = Annotated[int, Meta(ge=1, le=3650)]
ConnectionCount = Annotated[int, Meta(ge=1, le=1000)]


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a service. With the prefix `SHOP_`, the field `broker_url` is read from SHOP_BROKER_URL."""

    broker_url: str
    """amqp://user:password@host:port/vhost, or amqps://. Without the user if `broker_credentials` is set."""
    broker_credentials: Path | None = None
    """Folder with the files `username` and `password`, which are read again for each connection."""
    broker_ca_file: Path | None = None
    """CA of an amqps:// broker; without it, the CAs of the system."""
    database_url: str
    """postgresql://role:password@host:port/database, without the password if `database_password_file` is set."""
    database_password_file: Path | None = None
    """File with the password of the role, which is read again for each connection."""
    database_ca_file: Path | None = None
    """CA of the database. If it is set, connections use TLS and verify the certificate."""
    database_connections: ConnectionCount = 4
    """Size of the connection pool."""
    startup_seconds: Annotated[float, Meta(ge=0, le=86400)] = 30.0
    """How long the process waits for its servers at startup before it ends with an error."""
    shutdown_seconds: Annotated[float, Meta(ge=0, le=86400)] = 20.0
    """How long work in progress may take after SIGTERM."""
    inbox_days: Days = 35
    """How long a repeated message is recognised. A failed message is recognised until it succeeds or is dropped, if
    that takes longer."""
    failures_days: Days = 30
    """How long the record of a failure is kept after the message has succeeded or was dropped."""

    def __repr__(self) -> str:  # without passwords, as its addresses
        return f"{type(self).__name__}({self.broker!r}, {self.database!r})"

    @property
    def broker(self) -> BrokerAddress:
        return BrokerAddress(self.broker_url, self.broker_credentials, self.broker_ca_file)

    @property
    def database(self) -> DatabaseAddress:
        return DatabaseAddress(self.database_url, self.database_password_file, self.database_ca_file)

    def mistakes(self, variable: Callable[[str], str] = str) -> Iterator[str]:
        """Describe settings that contradict each other or cannot be addresses. `variable` maps a field to the name
        that the reader knows it by."""
        for field, address in (("broker_url", self.broker), ("database_url", self.database)):
            try:
                address.require_valid()
            except ConfigurationError as error:
                yield f"{variable(field)}: {error}"
        if self.inbox_days < self.failures_days:
            yield (
                f"{variable('inbox_days')}={self.inbox_days} is less than"
                f" {variable('failures_days')}={self.failures_days}:"
                " a failed message that is still on record must be recognised when it is replayed"
            )

    def require_valid(self) -> None:
        """Raise ConfigurationError with all `mistakes`."""
        _report(list(self.mistakes()))


S = TypeVar("S", bound=ServiceSettings)


def load_settings(kind: type[S], prefix: str, environment: Mapping[str, str] = os.environ) -> S:
    """Read settings from variables whose names begin with `prefix`, such as `SHOP_`.

    Raises ConfigurationError that names every missing or wrong variable; contradictions between variables are reported
    once each of them is right.
    """

    def variable(field: str) -> str:
        return prefix + field.upper()

    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for field in msgspec.structs.fields(kind):
        name = variable(field.name)
        if name not in environment:
            if field.required:
                mistakes.append(f"{name} is not set{_similar(name, environment)}")
            continue
        try:
            values[field.name] = _convert(environment[name], field.type)
        except msgspec.ValidationError as error:
            mistakes.append(f"{name}={environment[name]!r}: {_reason(error, field.type)}")
    _report(mistakes)
    settings = kind(**values)
    _report(list(settings.mistakes(variable)))
    return settings


def _similar(name: str, environment: Mapping[str, str]) -> str:
    found = difflib.get_close_matches(name, environment, n=1, cutoff=0.9)
    return f", did you mean {found[0]}?" if found else ""


def _report(mistakes: list[str]) -> None:
    if mistakes:
        raise ConfigurationError("settings: " + "; ".join(mistakes))


def _reason(error: msgspec.ValidationError, wanted: object) -> str:
    return f"not one of {', '.join(get_args(wanted))}" if get_origin(wanted) is Literal else str(error)


def _convert(text: str, wanted: object) -> object:
    # dec_hook: msgspec does not know Path.
    return msgspec.convert(text, wanted, strict=False, dec_hook=lambda kind, value: kind(value))
