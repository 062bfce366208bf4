"""The SMS client with a real HTTP server, and the text messages that it sends."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.sms.channel import MAX_TEXT, TextMessage, compose
from services.sms.settings import SmsSettings
from services.sms.sms_client import SmsClient
from tests.services import notification, settings_of
from warren.sinks.sms import SmsSink
from warren_messaging.errors import ConfigurationError, PermanentError, TransientError

KEY = UUID("0198c0de-0000-7000-8000-000000000001")


def settings(url: str, **fields: Any) -> SmsSettings:
    return settings_of(SmsSettings, **({"sms_url": url, "sms_seconds": 5.0} | fields))


@asynccontextmanager
async def client_of(url: str, **fields: Any) -> AsyncIterator[SmsClient]:
    client = SmsClient(settings(url, **fields))
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
def sink() -> Iterator[SmsSink]:
    with SmsSink() as running:
        yield running


async def test_repeated_requests_with_one_key_send_one_message(sink: SmsSink) -> None:
    async with client_of(sink.url) as client:
        for _ in range(3):
            await client.send(TextMessage(KEY, "+4915112345", "Hello"))
    [message] = sink.messages
    assert (message.to, message.text, message.key) == ("+4915112345", "Hello", str(KEY))
    assert sink.requests == 3


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_rejection_is_a_permanent_error(sink: SmsSink, status: int) -> None:
    sink.refuse("+4911", status)
    async with client_of(sink.url) as client:
        with pytest.raises(PermanentError, match=str(status)):
            await client.send(TextMessage(uuid4(), "+4911", "Hello"))


@pytest.mark.parametrize("status", [302, 408, 429, 500, 502, 503])
async def test_a_temporary_failure_is_a_transient_error(sink: SmsSink, status: int) -> None:
    sink.refuse("+4911", status, times=1)
    async with client_of(sink.url) as client:
        with pytest.raises(TransientError, match=str(status)):
            await client.send(TextMessage(KEY, "+4911", "Hello"))
        await client.send(TextMessage(KEY, "+4911", "Hello"))
    assert len(sink.messages) == 1


async def test_an_unreachable_gateway_is_a_transient_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
    async with client_of(url) as client:
        with pytest.raises(TransientError, match="unreachable"):
            await client.send(TextMessage(KEY, "+4911", "Hello"))


async def test_a_silent_gateway_is_a_transient_error_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with client_of(f"http://127.0.0.1:{silent.getsockname()[1]}/", sms_seconds=0.2) as client:
            with pytest.raises(TransientError, match="took over"):
                await client.send(TextMessage(KEY, "+4911", "Hello"))


@pytest.mark.parametrize("url", ["http://sms.example.test/", "ftp://127.0.0.1/", "127.0.0.1:80"])
def test_an_unencrypted_or_invalid_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="WARREN_SMS_URL"):
        settings(url)


def test_a_missing_ca_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        SmsClient(settings("https://127.0.0.1/", sms_ca_file=tmp_path / "none"))


def composed(phone: str) -> tuple[str, str]:
    event: Any = notification(phone=phone)
    message = compose(event)
    assert message.key == event.logicalid
    return message.to, message.text


@pytest.mark.parametrize("phone", ["+49 (151) 123-45", "+49.151.123.45", "+49/151/12345", "+49 (0)151 12345"])
def test_common_spellings_of_a_number_are_accepted(phone: str) -> None:
    assert composed(phone) == ("+4915112345", "Title\nText")


@pytest.mark.parametrize(
    "phone",
    ["", "ada", "+49\n151 12345", "123", "015112345", "+" + "1" * 16, "49+15112345", "+٤٩١٥١١٢٣٤", "+1 (0) -.-"],
)
def test_an_invalid_number_is_refused(phone: str) -> None:
    with pytest.raises(ValueError, match="telephone number"):
        composed(phone)


def test_a_long_text_is_cut() -> None:
    text = compose(notification(text="x" * 1000, phone="+4915112345")).text
    assert len(text) == MAX_TEXT
    assert text.endswith("x…")
