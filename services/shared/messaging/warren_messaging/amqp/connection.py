"""Connections to the broker.

Publishing and consuming use one connection each: during an alarm the broker stops reading from connections that
publish, and acknowledgements must not wait for that.

Connections and channels are aio-pika's plain ones. Deliveries and publishes use the driver's channels beneath them.

aio-pika's reconnecting connections are not used. A consumer or publisher owns its connection, sees it end, and opens a
new one, so no subscription or confirm is lost unnoticed. Every await that a half-open socket could block has a time
limit.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote, urlsplit

import aio_pika
import aiormq
import aiormq.channel
import msgspec
from aio_pika.abc import AbstractChannel, TimeoutType, UnderlayConnection
from aiormq import exceptions as amqp
from yarl import URL

from warren_messaging.addresses import is_address, without_secrets
from warren_messaging.amqp.frames import driver
from warren_messaging.cancellation import is_cancelled
from warren_messaging.certificates import WatchedCertificate
from warren_messaging.errors import (
    AccessRefused,
    BrokerTooOld,
    BrokerUnavailable,
    ConfigurationError,
    TopologyMissing,
    reason_of,
)

MIN_BROKER_VERSION = (4, 3, 1)
CONNECT_TIMEOUT = 10.0  # seconds
CLOSE_TIMEOUT = 3.0  # seconds
HEARTBEAT = 10  # seconds
RELOAD_SECONDS = 5.0  # between two looks at the credential files


class BrokerAddress(msgspec.Struct, frozen=True):
    """Address of the broker, and the credentials for it.

    `credentials` is a folder with the files `username` and `password`, as Kubernetes mounts a Secret. They and
    `ca_file` are read again for each connection, so a rotated password or certificate needs no restart. Without the
    folder, user and password are part of the URL.
    """

    url: str
    """amqps://host:port/vhost or amqp://; with user:password@ before the host if `credentials` is None."""
    credentials: Path | None = None
    ca_file: Path | None = None
    """None: the CAs of the system. amqp:// uses none."""
    heartbeat: int = HEARTBEAT
    """Seconds. The connection ends when the peer is silent for three heartbeats."""

    def __repr__(self) -> str:  # a debugger or an error report must not show a password
        return f"BrokerAddress({self.location!r})"

    @property
    def location(self) -> str:
        """The URL without user, password and parameters, for messages and logs."""
        return without_secrets(self.url)

    def require_valid(self) -> None:
        """Raise ConfigurationError unless `url` is an AMQP address with the credentials that it needs."""
        if not is_address(self.url, {"amqp", "amqps"}):
            raise ConfigurationError(f"broker address {self.location!r} is not amqps://host:port/vhost")
        parts = urlsplit(self.url)
        if self.credentials is None and not (parts.username and parts.password):
            raise ConfigurationError(
                f"broker address {self.location!r} has no credentials: write user:password@ before the host, or name"
                " a folder with the files `username` and `password`"
            )

    def login(self) -> tuple[str, str]:
        """Return a matching user name and password. Raises ConfigurationError when a file is not readable."""
        if self.credentials is None:
            self.require_valid()
            parts = urlsplit(self.url)
            return unquote(parts.username or ""), unquote(parts.password or "")
        while True:
            folder = self._present(self.credentials)
            try:
                return self._secret(folder, "username"), self._secret(folder, "password")
            except ConfigurationError:
                if self._present(self.credentials) == folder:
                    raise

    @staticmethod
    def _present(credentials: Path) -> Path:
        """Return the folder that holds the files now. Kubernetes replaces all files of a Secret at once by changing one
        link to their folder: files of the resolved folder always match."""
        link = credentials / "..data"
        return link.resolve() if link.is_symlink() else credentials

    @staticmethod
    def _secret(folder: Path, name: str) -> str:
        try:
            # One line end is removed, as an editor adds it; blanks are part of a password.
            return (folder / name).read_bytes().decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigurationError(f"cannot read the broker {name} from {folder / name}: {reason}") from error

    @property
    def username(self) -> str:
        """Raises ConfigurationError when the file is not readable."""
        return self.login()[0]

    def with_credentials(self) -> str:
        """Return the URL with user and password. Raises ConfigurationError as `login` and `require_valid`."""
        self.require_valid()
        parts = urlsplit(self.url)
        username, password = (quote(part, safe="") for part in self.login())
        return f"{parts.scheme}://{username}:{password}@{parts.netloc.rpartition('@')[2]}{parts.path}"

    def credentials_fingerprint(self) -> bytes:
        """Return a value that changes with the files. Connections are then replaced, before the old user is removed."""
        digest = hashlib.sha256()
        folder = self.credentials
        for path in (folder and folder / "username", folder and folder / "password", self.ca_file):
            with suppress(OSError):
                digest.update(path.read_bytes() if path else b"")
        return digest.digest()

    def tls(self) -> ssl.SSLContext | None:
        """Return the TLS context of an amqps:// address, else None. Raises ConfigurationError for a bad CA file."""
        if urlsplit(self.url).scheme != "amqps":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"cannot read the broker's CA from {self.ca_file}: {error}") from error


class _FrameUnderlay(UnderlayConnection):
    """aio-pika's link to the driver, which reads through a FrameReader."""

    @classmethod
    async def make_connection(cls, url: URL, timeout: TimeoutType = None, **options: Any) -> aiormq.Connection:
        connection = driver(url, **options)
        async with asyncio.timeout(timeout):
            await connection.connect()
            await connection.ready()
        return connection


class AmqpConnection(aio_pika.Connection):
    """A plain connection of aio-pika, with all of its methods. `opened` opens one for a block."""

    def __init__(self, url: URL, context: ssl.SSLContext | None) -> None:
        self.certificate = WatchedCertificate()
        """The broker's certificate."""
        super().__init__(url, ssl_context=self.certificate.watch(context))

    async def connect(self, timeout: TimeoutType = None) -> None:
        """Connect within `timeout` seconds. Called once, before the connection is handed out."""
        self.transport = await _FrameUnderlay.connect(
            self.url, self._on_connection_close, timeout=timeout, **self.kwargs
        )
        await self._on_connected()

    @property
    def driver(self) -> aiormq.Connection:
        """The connection of the driver beneath."""
        if self.transport is None:
            raise amqp.ConnectionClosed(0, "closed by this process")
        return cast(aiormq.Connection, self.transport.connection)

    async def close(self, exc: aiormq.abc.ExceptionType | None = aio_pika.exceptions.ConnectionClosed) -> None:
        """Close within CLOSE_TIMEOUT, whatever the state of the peer."""
        # aio-pika would wait for the driver without a limit. Without a transport it only marks the connection closed.
        transport, self.transport = self.transport, None
        if transport is not None:
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await transport.connection.close(exc)
        await super().close(exc)


async def driver_channel(channel: AbstractChannel) -> aiormq.channel.Channel:
    """Return the channel of the driver beneath an open channel of aio-pika."""
    return cast(aiormq.channel.Channel, await channel.get_underlay_channel())


async def connect(address: BrokerAddress, name: str) -> AmqpConnection:
    """Open a connection, shown as `name` in the management UI.

    Raises BrokerUnavailable when the broker does not answer, AccessRefused for wrong credentials or vhost, BrokerTooOld
    for a broker without delayed retry.
    """
    url = f"{address.with_credentials()}?heartbeat={address.heartbeat}&name={quote(name)}"
    connection = AmqpConnection(URL(url), address.tls())
    try:
        await _open(connection, address)
        _require_version(connection, address)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _open(connection: AmqpConnection, address: BrokerAddress) -> None:
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT)
    except amqp.AuthenticationError as error:
        raise AccessRefused(_refused(address)) from error
    except amqp.ProbableAuthenticationError as error:
        raise AccessRefused(_refused(address)) from error
    except amqp.ConnectionNotAllowed as error:
        raise AccessRefused(f"broker at {address.location} refused {address.username!r}: {error}") from error
    except ssl.SSLCertVerificationError as error:
        raise _unverified(address, error) from error
    except amqp.InvalidFrameError as error:
        if "Connection.OpenOk" not in str(error):
            raise BrokerUnavailable(
                f"{address.location} does not speak AMQP as expected: {reason_of(error)}"
            ) from error
        # The broker refuses a vhost by closing the connection, and the driver does not pass on its reason.
        raise AccessRefused(
            f"broker user {address.username!r} may not enter the vhost of {address.location}, or there is no such"
            " vhost, or the user has as many connections as its limit allows"
        ) from error
    except (OSError, TimeoutError, amqp.AMQPError, asyncio.CancelledError) as error:
        # The driver cancels the waiting task when its socket is stuck: distinguish that from our own cancellation.
        if isinstance(error, asyncio.CancelledError) and is_cancelled():
            raise
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            raise _unverified(address, error.__cause__) from error
        raise BrokerUnavailable(f"broker at {address.location} does not answer: {reason_of(error)}") from error
    except Exception as error:
        if not _without_reason(error):
            raise
        raise BrokerUnavailable(
            f"broker at {address.location} does not answer: the connection ended without a reason"
        ) from error


@asynccontextmanager
async def opened(address: BrokerAddress, name: str) -> AsyncIterator[AmqpConnection]:
    """Open a connection for a block. Driver errors in the block become errors of this package."""
    connection = await connect(address, name)
    try:
        with wrap_driver_errors(address):
            yield connection
    finally:
        await connection.close()


class wrap_driver_errors:  # noqa: N801 - used as a function: `with wrap_driver_errors(address)`
    """Turns errors of the driver, including its cancellation of a stuck connection, into errors of this package."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        match error:
            case amqp.ChannelAccessRefused():
                raise AccessRefused(f"broker user {self._address.username!r} lacks a permission: {error}") from error
            case amqp.ChannelPreconditionFailed():
                raise AccessRefused(f"the broker refused the request: {error}") from error
            case amqp.ChannelNotFoundEntity():
                raise TopologyMissing(f"{error}: apply the topology first") from error
            case amqp.AMQPError() | OSError() | amqp.ChannelInvalidStateError():
                raise BrokerUnavailable(f"connection to {self._address.location} ended: {reason_of(error)}") from error
            case asyncio.CancelledError() if not is_cancelled():
                raise BrokerUnavailable(f"connection to {self._address.location} was stuck") from error
            case Exception() if _without_reason(error):
                raise BrokerUnavailable(f"connection to {self._address.location} ended without a reason") from error


def _without_reason(error: Exception) -> bool:
    """Whether the connection ended without a reason: the driver then raises a bare Exception."""
    return type(error) is Exception


def _refused(address: BrokerAddress) -> str:
    where = "the password in the address" if address.credentials is None else f"the files in {address.credentials}"
    return (
        f"broker at {address.location} refused the user {address.username!r}:"
        f" check {where} and that the topology has been applied"
    )


def _unverified(address: BrokerAddress, error: BaseException) -> ConfigurationError:
    authority = address.ca_file or "the system's CA (no CA file is set)"
    return ConfigurationError(
        f"broker at {address.location} has a certificate that {authority} does not verify: {reason_of(error)}"
    )


def _require_version(connection: AmqpConnection, address: BrokerAddress) -> None:
    found = connection.driver.server_properties.get("version", "?")
    found = found.decode() if isinstance(found, bytes) else str(found)
    digits = tuple(int(part) for part in found.split("-")[0].split("+")[0].split(".") if part.isdigit())
    if digits < MIN_BROKER_VERSION:
        wanted = ".".join(map(str, MIN_BROKER_VERSION))
        raise BrokerTooOld(
            f"broker at {address.location} is RabbitMQ {found}; {wanted} or newer is needed, since older"
            " versions accept delayed-retry queues and do not delay. Upgrade the broker."
        )
