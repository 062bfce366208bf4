"""The SMTP client against a real SMTP server on this machine."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.credentials import Certificates
from services.email import smtp_client
from services.email.channel import compose
from services.email.settings import EmailSettings
from services.email.smtp_client import SmtpClient
from services.shared.contracts import AnyEvent
from tests.services import notification, settings_of
from warren.sinks.mail import MailSink
from warren_messaging.errors import ConfigurationError, PermanentError, TransientError


def settings(port: int, **fields: Any) -> EmailSettings:
    return settings_of(EmailSettings, **({"smtp_host": "127.0.0.1", "smtp_port": port, "smtp_seconds": 5.0} | fields))


@asynccontextmanager
async def client_of(port: int, **fields: Any) -> AsyncIterator[SmtpClient]:
    client = SmtpClient(settings(port, **fields))
    try:
        yield client
    finally:
        await client.close()


async def send(client: SmtpClient, address: str = "ada@example.test", event: AnyEvent | None = None) -> None:
    await client.send(compose(event or notification(email=address), "orders@warren.localhost"))


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink() as running:
        yield running


async def test_consecutive_mails_share_a_connection(sink: MailSink) -> None:
    async with client_of(sink.port) as client:
        for _ in range(20):
            await send(client)
        assert (len(sink.messages), client.opened, sink.sessions) == (20, 1, 1)


async def test_concurrent_mails_have_a_connection_each(sink: MailSink) -> None:
    async with client_of(sink.port) as client:
        await asyncio.gather(*(send(client) for _ in range(4)))
        await asyncio.gather(*(send(client) for _ in range(4)))
        assert (len(sink.messages), sink.sessions) == (8, 4)


async def test_a_connection_closed_by_the_server_costs_no_attempt(sink: MailSink) -> None:
    async with client_of(sink.port) as client:
        await send(client)
        sink.hang_up()
        await send(client)
        assert (len(sink.messages), client.opened) == (2, 2)


async def test_a_connection_is_renewed_after_many_mails(sink: MailSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_client, "MAILS_PER_CONNECTION", 3)
    async with client_of(sink.port) as client:
        for _ in range(7):
            await send(client)
        assert client.opened == 3


async def test_a_connection_that_was_idle_too_long_is_not_reused(
    sink: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_client, "MAX_IDLE", 0.0)
    async with client_of(sink.port) as client:
        await send(client)
        await send(client)
        assert client.opened == 2


async def test_a_refused_recipient_is_permanent_and_the_connection_stays(sink: MailSink) -> None:
    async with client_of(sink.port) as client:
        with pytest.raises(PermanentError, match="refused the recipient: 550"):
            await send(client, "bounce-1@example.test")
        await send(client)
        assert (len(sink.messages), client.opened) == (1, 1)


async def test_a_retry_after_a_temporary_refusal_has_the_same_message_id(sink: MailSink) -> None:
    event = notification(email="tempfail-1@example.test")
    async with client_of(sink.port) as client:
        for _ in range(2):
            with pytest.raises(TransientError, match="451"):
                await send(client, event=event)
        await send(client, event=event)
    (mail,) = sink.messages
    assert mail.headers["Message-ID"] == f"<{event.logicalid}@warren.localhost>"


async def test_an_unreachable_server_is_a_transient_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client_of(port) as client:
        with pytest.raises(TransientError, match="failed"):
            await send(client)


async def test_a_silent_server_is_a_transient_error_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with client_of(silent.getsockname()[1], smtp_seconds=0.2) as client:
            began = asyncio.get_running_loop().time()
            with pytest.raises(TransientError):
                await send(client)
            assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize("greeting", [b"554 no service here\r\n", b"421 too busy\r\n"])
async def test_a_refusal_before_the_recipient_is_a_transient_error(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=refuse)
        thread.start()
        async with client_of(listener.getsockname()[1]) as client:
            with pytest.raises(TransientError):
                await send(client)
        thread.join()


async def test_starttls_with_a_trusted_certificate(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "ours")
    with MailSink(tls=certificates.server("mail").server_tls()) as sink:
        async with client_of(sink.port, smtp_ca_file=certificates.ca_file) as client:
            await send(client)
            await send(client)
        assert (len(sink.messages), sink.sessions) == (2, 1)


async def test_a_server_with_an_untrusted_certificate_gets_no_mail(tmp_path: Path) -> None:
    with MailSink(tls=Certificates(tmp_path / "theirs").server("mail").server_tls()) as sink:
        async with client_of(sink.port, smtp_ca_file=Certificates(tmp_path / "ours").ca_file) as client:
            with pytest.raises(TransientError, match="certificate"):
                await send(client)
        assert not sink.messages


async def test_a_server_without_tls_gets_no_mail_when_a_ca_is_set(sink: MailSink, tmp_path: Path) -> None:
    async with client_of(sink.port, smtp_ca_file=Certificates(tmp_path).ca_file) as client:
        with pytest.raises(TransientError):
            await send(client)
    assert not sink.messages


def test_unencrypted_mail_to_another_machine_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="WARREN_SMTP_CA_FILE"):
        settings(25, smtp_host="mail.example.test")


def test_a_missing_ca_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        SmtpClient(settings(25, smtp_ca_file=tmp_path / "none"))
