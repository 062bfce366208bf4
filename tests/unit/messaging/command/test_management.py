"""The reader of the management API refuses wrong addresses and servers, and shows no password."""

import asyncio

import pytest

from warren_messaging.command.management import ManagementReader
from warren_messaging.errors import ConfigurationError

LOGIN = ("coffee", "s3cret")


@pytest.mark.parametrize(
    "url",
    ["https://coffee:s3cret@localhost:1", "coffee:s3cret@localhost", "ftp://coffee:s3cret@localhost", "http://[::1"],
)
def test_a_wrong_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not https://host:port") as refused:
        ManagementReader(url, LOGIN, "/")
    assert "s3cret" not in str(refused.value)


async def test_a_port_that_does_not_speak_http_is_an_error_of_the_address() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"AMQP\x00\x00\x09\x01")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for url in (address, "http://local host"):
            with pytest.raises(ConfigurationError, match="does not answer"):
                await ManagementReader(url, LOGIN, "/").queue("coffee.queue")
