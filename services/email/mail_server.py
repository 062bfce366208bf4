"""The mail server, through connections that are kept open between mails.

Opening one costs several round trips and a TLS handshake, more than the mail itself. A kept connection may have
been closed by the server meanwhile: then the mail is sent through a new one at once.
"""

import asyncio
import ssl
import time
from email.message import EmailMessage

import aiosmtplib

from services.email.domain import domain_of
from services.email.settings import Settings
from warren_messaging.errors import ConfigurationError, PermanentError, TransientError

LONGEST_IDLE = 30.0  # seconds; servers hang up after a minute or more
MAILS_PER_CONNECTION = 100  # a usual limit of servers


class MailServer:
    """Sends mails, any number at a time; the caller limits how many. `close` when done.

    Raises ConfigurationError when a file of the settings cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        _login(settings)
        _tls(settings)
        self._settings = settings
        self.sender = settings.smtp_sender
        self._idle: list[_Connection] = []
        self.opened = 0
        """Connections opened so far."""

    async def send(self, message: EmailMessage) -> None:
        """Returns when the server has taken responsibility for the mail.

        Raises PermanentError when it refuses this recipient or this content for good. Every other failure, also
        a refusal of our name or password, is no fault of the mail and a TransientError.
        """
        try:
            async with asyncio.timeout(self._settings.smtp_seconds):
                await self._send(message)
        except TimeoutError as error:
            raise TransientError(f"the mail server took over {self._settings.smtp_seconds} s") from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _verdict("the recipient", error.recipients[0], message) from error
        except aiosmtplib.SMTPDataError as error:
            raise _verdict("the mail", error, message) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise TransientError(f"the mail server failed: {error}") from error

    async def close(self) -> None:
        """Say goodbye on the connections that are idle."""
        while self._idle:
            await self._idle.pop().quit()

    async def _send(self, message: EmailMessage) -> None:
        connection = self._take()
        if connection is not None:
            try:
                await self._send_on(connection, message)
            except aiosmtplib.SMTPServerDisconnected:
                connection.drop()  # it was closed while idle: once more on a new one
            else:
                return
        connection = _Connection(self._settings)
        self.opened += 1
        await self._send_on(connection, message)

    async def _send_on(self, connection: "_Connection", message: EmailMessage) -> None:
        """Send, and keep the connection when it is between two mails afterwards; else it is dropped."""
        usable = False
        try:
            await connection.send(message)
            usable = True
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError):
            usable = True  # the driver has reset the conversation
            raise
        finally:
            if usable and connection.open and connection.sent < MAILS_PER_CONNECTION:
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
            else:
                connection.drop()

    def _take(self) -> "_Connection | None":
        """The connection used last, if it is still good."""
        while self._idle:
            connection = self._idle.pop()
            if connection.open and time.monotonic() - connection.idle_since < LONGEST_IDLE:
                return connection
            connection.drop()
        return None


class _Connection:
    def __init__(self, settings: Settings) -> None:
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


def _verdict(
    what: str, answer: aiosmtplib.SMTPResponseException, message: EmailMessage
) -> PermanentError | TransientError:
    """Servers like to repeat the address; the reason is kept where no address belongs."""
    words = answer.message.replace(message["To"].addresses[0].addr_spec, "the recipient")
    kind = PermanentError if answer.code >= 500 else TransientError
    return kind(f"the mail server refused {what}: {answer.code} {words}")


def _login(settings: Settings) -> tuple[str | None, str | None]:
    folder = settings.smtp_credentials
    if folder is None:
        return None, None
    try:
        return (folder / "username").read_text().strip(), (folder / "password").read_text().strip()
    except OSError as error:
        raise ConfigurationError(f"cannot read username and password in {folder}: {error.strerror}") from error


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """Made anew for each connection, so that a rotated CA needs no restart."""
    if settings.smtp_ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=settings.smtp_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"cannot read the mail server's CA from {settings.smtp_ca_file}: {error}") from error
