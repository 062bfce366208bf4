"""The text message client against a real HTTP server on this machine."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.sms.domain import LONGEST_TEXT, Draft, TextMessage
from services.sms.gateway import Gateway
from services.sms.settings import Settings
from warren.sinks.sms import SmsSink
from warren_messaging.errors import ConfigurationError, PermanentError, TransientError

KEY = UUID("0198c0de-0000-7000-8000-000000000001")


def settings(url: str, **fields: Any) -> Settings:
    nowhere = Path("/nonexistent")
    defaults = {
        "database_url": "",
        "database_password_file": nowhere,
        "database_ca_file": nowhere,
        "broker_url": "",
        "broker_credentials": nowhere,
        "broker_ca_file": nowhere,
        "sms_url": url,
        "sms_seconds": 5.0,
    }
    return Settings(**(defaults | fields))


@asynccontextmanager
async def gateway_at(url: str, **fields: Any) -> AsyncIterator[Gateway]:
    gateway = Gateway(settings(url, **fields))
    try:
        yield gateway
    finally:
        await gateway.close()


@pytest.fixture
def sink() -> Iterator[SmsSink]:
    with SmsSink() as running:
        yield running


async def test_a_repeated_key_sends_nothing_twice(sink: SmsSink) -> None:
    async with gateway_at(sink.url) as gateway:
        for _ in range(3):
            await gateway.send(TextMessage(KEY, "+4915112345", "Hello"))
    [message] = sink.messages
    assert (message.to, message.text, message.key) == ("+4915112345", "Hello", str(KEY))
    assert sink.requests == 3


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
async def test_a_refusal_is_permanent(sink: SmsSink, status: int) -> None:
    sink.refuse("+4911", status)
    async with gateway_at(sink.url) as gateway:
        with pytest.raises(PermanentError, match=str(status)):
            await gateway.send(TextMessage(uuid4(), "+4911", "Hello"))


@pytest.mark.parametrize("status", [302, 408, 429, 500, 502, 503])
async def test_trouble_is_transient_and_passes(sink: SmsSink, status: int) -> None:
    sink.refuse("+4911", status, times=1)
    async with gateway_at(sink.url) as gateway:
        with pytest.raises(TransientError, match=str(status)):
            await gateway.send(TextMessage(KEY, "+4911", "Hello"))
        await gateway.send(TextMessage(KEY, "+4911", "Hello"))
    assert len(sink.messages) == 1


async def test_no_gateway_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    async with gateway_at(url) as gateway:
        with pytest.raises(TransientError, match="away"):
            await gateway.send(TextMessage(KEY, "+4911", "Hello"))


async def test_a_silent_gateway_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with gateway_at(f"http://127.0.0.1:{silent.getsockname()[1]}/", sms_seconds=0.2) as gateway:
            with pytest.raises(TransientError, match="took over"):
                await gateway.send(TextMessage(KEY, "+4911", "Hello"))


@pytest.mark.parametrize("url", ["http://sms.example.test/", "ftp://127.0.0.1/", "127.0.0.1:80"])
def test_numbers_do_not_travel_in_the_clear(url: str) -> None:
    with pytest.raises(ConfigurationError, match="WARREN_SMS_URL"):
        settings(url)


def test_a_missing_ca_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        Gateway(settings("https://127.0.0.1/", sms_ca_file=tmp_path / "none"))


@pytest.mark.parametrize("phone", ["+49 (151) 123-45", "+49.151.123.45", "+49/151/12345", "+49 (0)151 12345"])
def test_a_number_is_taken_as_people_write_it(phone: str) -> None:
    assert Draft(KEY, phone, "Title", "Text").compose() == TextMessage(KEY, "+4915112345", "Title\nText")


@pytest.mark.parametrize(
    "phone",
    ["", "ada", "+49\n151 12345", "123", "015112345", "+" + "1" * 16, "49+15112345", "+٤٩١٥١١٢٣٤", "+1 (0) -.-"],
)
def test_what_is_no_number_is_refused(phone: str) -> None:
    with pytest.raises(ValueError, match="telephone number"):
        Draft(KEY, phone, "Title", "Text").compose()


def test_a_long_text_is_cut() -> None:
    text = Draft(KEY, "+4915112345", "Title", "x" * 1000).compose().text
    assert len(text) == LONGEST_TEXT
    assert text.endswith("x…")
