"""The SMTP client. It keeps connections open between mails, since opening one costs more than a mail."""

import asyncio
import ssl
import time
from email.message import EmailMessage

import aiosmtplib

from services.email.channel import domain_of
from services.email.settings import EmailSettings
from services.shared.channels.worker import ProviderUnavailable
from warren_messaging.errors import ConfigurationError, PermanentError, TransientError

MAX_IDLE = 30.0  # seconds; servers close idle connections after a minute or more
MAILS_PER_CONNECTION = 100  # a usual limit of servers


class SmtpClient:
    """Sends any number of mails concurrently; the caller limits how many.

    Raises ConfigurationError when a file of the settings cannot be read.
    """

    def __init__(self, settings: EmailSettings) -> None:
        _login(settings)
        _tls(settings)
        self._settings = settings
        self._idle: list[_SmtpConnection] = []
        self.opened = 0
        """Number of connections opened so far."""

    async def send(self, message: EmailMessage) -> None:
        """Returns when the server has accepted the mail.

        Raises PermanentError when the server rejects this recipient or this content for good. Every other failure
        is a TransientError, also a rejected login: the mail is not the cause.
        """
        try:
            async with asyncio.timeout(self._settings.smtp_seconds):
                await self._send(message)
        except TimeoutError as error:
            raise ProviderUnavailable(f"the mail server took over {self._settings.smtp_seconds} s") from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _rejection("the recipient", error.recipients[0], message) from error
        except aiosmtplib.SMTPDataError as error:
            raise _rejection("the mail", error, message) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise ProviderUnavailable(f"the mail server failed: {error}") from error

    async def close(self) -> None:
        """Closes the idle connections with QUIT."""
        while self._idle:
            await self._idle.pop().quit()

    async def _send(self, message: EmailMessage) -> None:
        connection = self._idle_connection()
        if connection is not None:
            try:
                await self._send_on(connection, message)
            except aiosmtplib.SMTPServerDisconnected:
                connection.drop()  # the server closed it while it was idle: send once more on a new one
            else:
                return
        connection = _SmtpConnection(self._settings)
        self.opened += 1
        await self._send_on(connection, message)

    async def _send_on(self, connection: "_SmtpConnection", message: EmailMessage) -> None:
        """Sends, then keeps the connection if it is ready for another mail, or drops it."""
        reusable = False
        try:
            await connection.send(message)
            reusable = True
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError):
            reusable = True  # aiosmtplib has sent RSET
            raise
        finally:
            if reusable and connection.open and connection.sent < MAILS_PER_CONNECTION:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
            else:
                connection.drop()

    def _idle_connection(self) -> "_SmtpConnection | None":
        """Takes the most recently used connection that is still open."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and time.monotonic() - connection.idle_since < MAX_IDLE:
                return connection
            connection.drop()
        return None


class _SmtpConnection:
    def __init__(self, settings: EmailSettings) -> None:
        self.sent = 0
        self.idle_since = 0.0
        username, password = _login(settings)
        self._smtp = aiosmtplib.SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            username=username,
            password=password,
            local_hostname=domain_of(settings.smtp_sender),
            timeout=settings.smtp_seconds,
            start_tls=settings.smtp_ca_file is not None,
            tls_context=_tls(settings),
        )

    @property
    def open(self) -> bool:
        return self._smtp.is_connected

    async def send(self, message: EmailMessage) -> None:
        if not self.open:
            await self._smtp.connect()
        self.sent += 1
        sender = message["From"].addresses[0].addr_spec
        recipient = message["To"].addresses[0].addr_spec
        await self._smtp.sendmail(sender, [recipient], message.as_bytes())

    async def quit(self) -> None:
        try:
            async with asyncio.timeout(2):
                await self._smtp.quit()
        except (aiosmtplib.SMTPException, OSError):
            self.drop()

    def drop(self) -> None:
        self._smtp.close()


def _rejection(
    what: str, reply: aiosmtplib.SMTPResponseException, message: EmailMessage
) -> PermanentError | TransientError:
    """Removes the address from the server's text: the error is stored, and addresses must not be."""
    text = reply.message.replace(message["To"].addresses[0].addr_spec, "the recipient")
    kind = PermanentError if reply.code >= 500 else TransientError
    return kind(f"the mail server refused {what}: {reply.code} {text}")


def _login(settings: EmailSettings) -> tuple[str | None, str | None]:
    folder = settings.smtp_credentials
    if folder is None:
        return None, None
    try:
        return (folder / "username").read_text().strip(), (folder / "password").read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"cannot read username and password in {folder}: {error.strerror}") from error


def _tls(settings: EmailSettings) -> ssl.SSLContext | None:
    """Reads the CA for each connection, so a rotated CA needs no restart."""
    if settings.smtp_ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=settings.smtp_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot read the mail server's CA from {settings.smtp_ca_file}: {error}") from error
