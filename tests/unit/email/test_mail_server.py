"""The mail client against a real SMTP server on this machine."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from devtools.servers.credentials import Certificates
from services.email import mail_server
from services.email.domain import Mail
from services.email.mail_server import MailServer
from services.email.settings import Settings
from warren.sinks.mail import MailSink
from warren_messaging.errors import ConfigurationError, PermanentError, TransientError


def settings(port: int, **fields: Any) -> Settings:
    nowhere = Path("/nonexistent")
    defaults = {
        "database_url": "",
        "database_password_file": nowhere,
        "database_ca_file": nowhere,
        "broker_url": "",
        "broker_credentials": nowhere,
        "broker_ca_file": nowhere,
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_seconds": 5.0,
    }
    return Settings(**(defaults | fields))


@asynccontextmanager
async def server_at(port: int, **fields: Any) -> AsyncIterator[MailServer]:
    server = MailServer(settings(port, **fields))
    try:
        yield server
    finally:
        await server.close()


async def send(server: MailServer, address: str = "ada@example.test", identity: UUID | None = None) -> None:
    mail = Mail(identity or uuid4(), datetime.now(UTC), address, "Title", "Text")
    await server.send(mail.compose(server.sender))


@pytest.fixture
def sink() -> Iterator[MailSink]:
    with MailSink() as running:
        yield running


async def test_mails_one_after_the_other_share_a_connection(sink: MailSink) -> None:
    async with server_at(sink.port) as server:
        for _ in range(20):
            await send(server)
        assert (len(sink.mails), server.opened, sink.sessions) == (20, 1, 1)


async def test_mails_at_the_same_time_have_a_connection_each(sink: MailSink) -> None:
    async with server_at(sink.port) as server:
        await asyncio.gather(*(send(server) for _ in range(4)))
        await asyncio.gather(*(send(server) for _ in range(4)))
        assert (len(sink.mails), sink.sessions) == (8, 4)


async def test_a_connection_that_the_server_closed_costs_no_try(sink: MailSink) -> None:
    async with server_at(sink.port) as server:
        await send(server)
        sink.hang_up()
        await send(server)
        assert (len(sink.mails), server.opened) == (2, 2)


async def test_a_connection_is_renewed_after_many_mails(sink: MailSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_server, "MAILS_PER_CONNECTION", 3)
    async with server_at(sink.port) as server:
        for _ in range(7):
            await send(server)
        assert server.opened == 3


async def test_an_idle_connection_is_not_used_again(sink: MailSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_server, "LONGEST_IDLE", 0.0)
    async with server_at(sink.port) as server:
        await send(server)
        await send(server)
        assert server.opened == 2


async def test_a_refused_recipient_is_permanent_and_the_connection_stays(sink: MailSink) -> None:
    async with server_at(sink.port) as server:
        with pytest.raises(PermanentError, match="refused the recipient: 550"):
            await send(server, "bounce-1@example.test")
        await send(server)
        assert (len(sink.mails), server.opened) == (1, 1)


async def test_a_temporary_refusal_passes_with_the_same_message_id(sink: MailSink) -> None:
    identity = uuid4()
    async with server_at(sink.port) as server:
        for _ in range(2):
            with pytest.raises(TransientError, match="451"):
                await send(server, "tempfail-1@example.test", identity)
        await send(server, "tempfail-1@example.test", identity)
    (mail,) = sink.mails
    assert mail.headers["Message-ID"] == f"<{identity}@warren.localhost>"


async def test_no_server_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with server_at(port) as server:
        with pytest.raises(TransientError, match="failed"):
            await send(server)


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with server_at(silent.getsockname()[1], smtp_seconds=0.2) as server:
            began = asyncio.get_running_loop().time()
            with pytest.raises(TransientError):
                await send(server)
            assert asyncio.get_running_loop().time() - began < 2


@pytest.mark.parametrize(
    ("answer", "error"), [(b"554 no service here\r\n", TransientError), (b"421 too busy\r\n", TransientError)]
)
async def test_a_refusal_before_the_recipient_is_no_fault_of_the_mail(answer: bytes, error: type[Exception]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=refuse)
        thread.start()
        async with server_at(listener.getsockname()[1]) as server:
            with pytest.raises(error):
                await send(server)
        thread.join()


async def test_starttls_with_a_ca_that_vouches(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "ours")
    with MailSink(tls=certificates.server("mail").server_tls()) as sink:
        async with server_at(sink.port, smtp_ca_file=certificates.ca_file) as server:
            await send(server)
            await send(server)
        assert (len(sink.mails), sink.sessions) == (2, 1)


async def test_a_server_that_the_ca_does_not_know_gets_no_mail(tmp_path: Path) -> None:
    with MailSink(tls=Certificates(tmp_path / "theirs").server("mail").server_tls()) as sink:
        async with server_at(sink.port, smtp_ca_file=Certificates(tmp_path / "ours").ca_file) as server:
            with pytest.raises(TransientError, match="certificate"):
                await send(server)
        assert not sink.mails


async def test_a_server_without_tls_gets_no_mail_when_tls_is_wanted(sink: MailSink, tmp_path: Path) -> None:
    async with server_at(sink.port, smtp_ca_file=Certificates(tmp_path).ca_file) as server:
        with pytest.raises(TransientError):
            await send(server)
    assert not sink.mails


def test_another_machine_is_not_spoken_to_in_the_clear() -> None:
    with pytest.raises(ConfigurationError, match="WARREN_SMTP_CA_FILE"):
        settings(25, smtp_host="mail.example.test")


def test_a_missing_ca_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        MailServer(settings(25, smtp_ca_file=tmp_path / "none"))
