"""Connections and transactions of the service's database, which may be unavailable for a while."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec

from warren_messaging.addresses import is_address, without_secrets
from warren_messaging.certificates import WatchedCertificate
from warren_messaging.errors import ConfigurationError, DatabaseUnavailable, reason_of
from warren_messaging.transaction import Connection

ACQUIRE_TIMEOUT = 10.0  # seconds
STATEMENT_TIMEOUT = 30.0  # seconds
LOCK_TIMEOUT = 10  # seconds
IDLE_TIMEOUT = 60  # seconds; the server ends a transaction whose client has sent nothing for this time
MAX_TRANSACTION = 75  # seconds; the server ends a transaction after this time, the library ends its own after 60
TRANSACTION_TIMEOUT_SINCE = 17  # first major version of PostgreSQL with `transaction_timeout`
KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""The server detects a lost client after 25 s and frees its locks. Its default is more than two hours."""

_UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
)
VALUE_REFUSED = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)
"""Classes 22, 23 and 54: the database refuses a value, at every attempt."""
_REFUSED_CLASSES = {"22", "42", "55"}
"""Classes of errors of a connection that no waiting ends: a parameter of the URL, a database that takes no
connections."""
_UNMIGRATED = "have the migrations been applied?"
_REMEDIES: dict[type[asyncpg.PostgresError], str] = {
    asyncpg.InvalidPasswordError: "check the role and its password",
    asyncpg.InvalidAuthorizationSpecificationError: "check the role and its password",
    asyncpg.InvalidCatalogNameError: "create it, or correct the name in the address",
    asyncpg.UndefinedTableError: _UNMIGRATED,
    asyncpg.InsufficientPrivilegeError: _UNMIGRATED,
}
"""Errors that do not end by waiting, each with its remedy."""


class DatabaseAddress(msgspec.Struct, frozen=True):
    """Address of the database and files with its credentials. The files are read again for each connection."""

    url: str
    """postgresql://role@host:port/database; with role:password@ if `password_file` is None."""
    password_file: Path | None = None
    """File with the password, without surrounding blanks. None: the password is part of `url`."""
    ca_file: Path | None = None
    """If it is set, connections use TLS and verify the certificate. If not, they use TLS where the server offers it."""

    def __repr__(self) -> str:  # a debugger or an error report must not show a password
        return f"DatabaseAddress({self.location!r})"

    @property
    def location(self) -> str:
        """The URL without password and parameters, for messages and logs."""
        return without_secrets(self.url, keep_user=True)

    def require_valid(self) -> None:
        """Raise ConfigurationError unless `url` is a PostgreSQL address."""
        if not is_address(self.url, {"postgres", "postgresql"}):
            raise ConfigurationError(f"database address {self.location!r} is not postgresql://role@host:port/database")

    def password(self) -> str:
        """Return the password. Raises ConfigurationError when its file is not readable."""
        if self.password_file is None:
            return unquote(urlsplit(self.url).password or "")
        try:
            return self.password_file.read_text().strip()
        except OSError as error:
            raise ConfigurationError(
                f"cannot read the database password from {self.password_file}: {error.strerror}"
            ) from error

    def tls(self) -> ssl.SSLContext | None:
        """Return a TLS context if `ca_file` is set, else None. Raises ConfigurationError for a bad CA file."""
        if self.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"cannot read the database's CA from {self.ca_file}: {error}") from error


class PoolUsage(msgspec.Struct, frozen=True):
    """Numbers of connections. `maximum` limits the sum of the others."""

    used: int
    """In use by a transaction or a query."""
    idle: int
    """Open and free."""
    maximum: int


class Database:
    """A pool of connections. Raises DatabaseUnavailable for every error of an unavailable server."""

    def __init__(self, address: DatabaseAddress, *, connections: int = 4, name: str = "warren_messaging") -> None:
        self._address = address
        self._name = name
        self._connections = connections
        self._pool: asyncpg.Pool[Any] | None = None
        self.certificate = WatchedCertificate()
        """The certificate that the server has shown at the last connect."""

    async def open(self) -> None:
        """Open the pool and check the server.

        Raises ConfigurationError for a wrong address, role or schema, DatabaseUnavailable if no server answers.
        """
        self._address.require_valid()
        with self._wrap_driver_errors():
            self._pool = await asyncpg.create_pool(
                self._address.url,
                password=self._address.password,
                ssl=self.certificate.watch(self._address.tls()),
                min_size=0,
                max_size=self._connections,
                timeout=ACQUIRE_TIMEOUT,
                command_timeout=STATEMENT_TIMEOUT,
                # The library changes no session state, so the usual reset would be a wasted round trip.
                reset=_skip_reset,
                init=_limit_transactions,
                server_settings=KEEPALIVE
                | {
                    "application_name": self._name,
                    "lock_timeout": f"{LOCK_TIMEOUT}s",
                    "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT}s",
                    "jit": "off",
                },
            )
        await self.probe()

    async def close(self) -> None:
        if self._pool is not None:
            pool, self._pool = self._pool, None
            with suppress(Exception):
                async with asyncio.timeout(5):
                    await pool.close()
            pool.terminate()

    @property
    def pool_usage(self) -> PoolUsage:
        """The connections of the pool at this moment."""
        pool = self._pool
        open_, idle = (0, 0) if pool is None else (pool.get_size(), pool.get_idle_size())
        return PoolUsage(used=open_ - idle, idle=idle, maximum=self._connections)

    async def probe(self) -> None:
        """Raise DatabaseUnavailable unless the server answers and has the library's tables."""
        async with self.connection() as connection:
            await connection.execute("SELECT FROM outbox LIMIT 0", timeout=ACQUIRE_TIMEOUT)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection without a transaction, for single statements."""
        if self._pool is None:
            raise DatabaseUnavailable("the database pool is closed")
        with self._wrap_driver_errors():
            connection = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT)
        try:
            with self._wrap_driver_errors(connection):
                yield connection
        finally:
            with suppress(Exception):
                await asyncio.shield(self._pool.release(connection, timeout=ACQUIRE_TIMEOUT))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commit when the block ends, roll back when it raises.

        If the connection is lost during the commit, the result is unknown and DatabaseUnavailable is raised. After a
        redelivery the inbox shows whether the commit succeeded.
        """
        async with self.connection() as connection, connection.transaction():
            yield connection

    def _wrap_driver_errors(self, connection: Connection | None = None) -> _DriverErrorWrapper:
        return _DriverErrorWrapper(self._address, connection)


class _DriverErrorWrapper:
    def __init__(self, address: DatabaseAddress, connection: Connection | None) -> None:
        self._address = address
        self._connection = connection

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        match error:
            case ssl.SSLCertVerificationError():
                raise ConfigurationError(
                    f"database at {self._address.location} has a certificate that {self._address.ca_file}"
                    f" does not verify: {error}"
                ) from error
            case asyncpg.PostgresError() if type(error) in _REMEDIES:
                remedy = _REMEDIES[type(error)]
                raise ConfigurationError(f"database at {self._address.location} refused: {error}; {remedy}") from error
            case asyncpg.ClientConfigurationError():
                raise ConfigurationError(f"database at {self._address.location}: {error}") from error
            case asyncpg.PostgresError() if self._connection is None and (error.sqlstate or "")[:2] in _REFUSED_CLASSES:
                raise ConfigurationError(f"database at {self._address.location} refused: {error}") from error
            case _ if isinstance(error, _UNAVAILABLE) or (isinstance(error, TimeoutError) and self._connection is None):
                raise DatabaseUnavailable(
                    f"database at {self._address.location} is unavailable: {reason_of(error)}"
                ) from error
            case asyncpg.InternalClientError():
                # The server has announced that it closes the connection: the driver cannot use it any more.
                if self._connection is not None:
                    with suppress(asyncpg.InterfaceError):  # the pool may have taken it back
                        self._connection.terminate()
                raise DatabaseUnavailable(
                    f"connection to {self._address.location} is ending: {reason_of(error)}"
                ) from error
            case asyncpg.InterfaceError() if self._connection is None or _is_lost(self._connection):
                raise DatabaseUnavailable(
                    f"connection to {self._address.location} ended: {reason_of(error)}"
                ) from error


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool has taken it back


async def _limit_transactions(connection: Connection) -> None:
    """Make the server limit the duration of transactions.

    `idle_in_transaction_session_timeout` does not suffice: between the messages Parse and Bind of one statement the
    server counts the session as active.
    """
    if connection.get_server_version().major >= TRANSACTION_TIMEOUT_SINCE:
        await connection.execute(f"SET transaction_timeout = '{MAX_TRANSACTION}s'")


async def _skip_reset(connection: object) -> None:
    """Do not reset a released connection."""
