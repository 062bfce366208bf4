"""The service's database, seen as a place for transactions that may be away for a while."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import msgspec

from warren_messaging.errors import ConfigurationError, DatabaseUnavailable

if TYPE_CHECKING:
    from warren_messaging.transaction import Connection

ACQUIRE_TIMEOUT = 10.0  # seconds
STATEMENT_TIMEOUT = 30.0  # seconds
LOCK_TIMEOUT = 10  # seconds
IDLE_TIMEOUT = 60  # seconds that the server lets a transaction stand open without a word from us
MAX_TRANSACTION = 75  # seconds that it lets one last at all; ours end by themselves after 60
LIMITED_SINCE = 17  # the major version of PostgreSQL that knows the latter
KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""Whoever went away without a word holds its locks for 25 s. The server's own default is more than two hours."""

_AWAY = (
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
"""Classes 22, 23 and 54: a value that the database does not take, however often it is tried."""
_MIGRATE = "have the migrations run? See python -m services.migrate --help"
_WRONG: dict[type[asyncpg.PostgresError], str] = {
    asyncpg.InvalidPasswordError: "check the role in the address and its password file",
    asyncpg.InvalidAuthorizationSpecificationError: "check the role in the address and its password file",
    asyncpg.InvalidCatalogNameError: f"there is no such database; {_MIGRATE}",
    asyncpg.UndefinedTableError: _MIGRATE,
    asyncpg.InsufficientPrivilegeError: _MIGRATE,
}
"""What no waiting mends, and what to do about it."""


class DatabaseAddress(msgspec.Struct, frozen=True):
    """Where the database is and who we are there; files are read again for each connection."""

    url: str
    """postgresql://role@host:port/database, without the password."""
    password_file: Path | None = None
    ca_file: Path | None = None

    def require_valid(self) -> None:
        """Raises ConfigurationError unless the address is one."""
        parts = urlsplit(self.url)
        try:
            valid = parts.scheme in {"postgres", "postgresql"} and bool(parts.hostname) and parts.port != 0
        except ValueError:  # the port is no number
            valid = False
        if not valid:
            raise ConfigurationError(f"database address {self.url!r} is not postgresql://role@host:port/database")

    def password(self) -> str:
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text().strip()
        except OSError as error:
            raise ConfigurationError(
                f"cannot read the database password from {self.password_file}: {error.strerror}"
            ) from error

    def tls(self) -> ssl.SSLContext | None:
        if self.ca_file is None:
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"cannot read the database's CA from {self.ca_file}: {error}") from error


class Database:
    """A pool of connections. Every error that means "the server is away" leaves as DatabaseUnavailable."""

    def __init__(self, address: DatabaseAddress, *, connections: int = 4) -> None:
        self._address = address
        self._connections = connections
        self._pool: asyncpg.Pool[Any] | None = None

    async def open(self) -> None:
        """Raises ConfigurationError for a wrong address, role or schema, DatabaseUnavailable when away."""
        self._address.require_valid()
        with self._wrap_driver_errors():
            self._pool = await asyncpg.create_pool(
                self._address.url,
                password=self._address.password,
                ssl=self._address.tls(),
                min_size=0,
                max_size=self._connections,
                timeout=ACQUIRE_TIMEOUT,
                command_timeout=STATEMENT_TIMEOUT,
                # Nothing here changes a session's state, so the usual reset is a round trip for nothing.
                reset=_keep,
                init=_limit,
                server_settings=KEEPALIVE
                | {
                    "application_name": "warren",
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

    async def probe(self) -> None:
        """Raises DatabaseUnavailable unless the server answers and has our tables."""
        async with self.connection() as connection:
            await connection.execute("SELECT FROM outbox LIMIT 0", timeout=ACQUIRE_TIMEOUT)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection without a transaction, for single statements."""
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
        """Committed when the block ends, rolled back when it raises.

        When the server goes away during the commit its result is unknown: DatabaseUnavailable is raised, and
        only the inbox can tell, when the delivery comes again.
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
                    f"database at {self._address.url} has a certificate that {self._address.ca_file}"
                    f" does not vouch for: {error}"
                ) from error
            case asyncpg.PostgresError() if type(error) in _WRONG:
                remedy = _WRONG[type(error)]
                raise ConfigurationError(f"database at {self._address.url} refused: {error}; {remedy}") from error
            case _ if isinstance(error, _AWAY) or (isinstance(error, TimeoutError) and self._connection is None):
                raise DatabaseUnavailable(f"database at {self._address.url} is away: {error!r}") from error
            case asyncpg.InternalClientError():
                # The server's goodbye has come, its end of the connection has not: the driver cannot use it any more.
                if self._connection is not None:
                    with suppress(asyncpg.InterfaceError):  # the pool may have taken it back
                        self._connection.terminate()
                raise DatabaseUnavailable(f"connection to {self._address.url} is ending: {error!r}") from error
            case asyncpg.InterfaceError() if self._connection is None or _is_lost(self._connection):
                raise DatabaseUnavailable(f"connection to {self._address.url} ended: {error!r}") from error


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool has noticed first, and taken it back


async def _limit(connection: Connection) -> None:
    """Let no transaction outlive us.

    The limit for idle ones does not count between the preparing of a statement and its values, which the driver sends
    as one exchange: until its end the server takes the session for one that is busy.
    """
    if connection.get_server_version().major >= LIMITED_SINCE:
        await connection.execute(f"SET transaction_timeout = '{MAX_TRANSACTION}s'")


async def _keep(connection: object) -> None:
    """Leave a released connection as it is."""
