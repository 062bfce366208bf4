"""A server that stops interrupts no request in progress."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from litestar import get

from services.shared.chassis.http.application import application
from services.shared.chassis.http.server import HttpServer
from tests.unit.chassis.raw_http import HELLO, Streams, read_head


@get("/hello", sync_to_thread=False)
def hello() -> str:
    return "hello"


@asynccontextmanager
async def running(linger: float) -> AsyncIterator[tuple[HttpServer, asyncio.Task[None], int]]:
    server = HttpServer(application([hello], title="Greetings"), "127.0.0.1", 0, linger=linger)
    server.listen()
    assert server._socket is not None
    port = server._socket.getsockname()[1]
    task = asyncio.create_task(server.run())
    try:
        yield server, task, port
    finally:
        server.stop()
        await asyncio.wait_for(task, 30)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def response_head(streams: Streams) -> str:
    """Send a request; return the head of its response in lower case."""
    streams[1].write(HELLO)
    head = await read_head(streams)
    assert head.startswith("http/1.1 200 ")
    return head


async def test_after_stop_a_connection_gets_one_more_response_which_closes_it() -> None:
    async with running(linger=20) as (server, task, port), connected(port) as streams:
        assert "connection: close" not in await response_head(streams)
        server.stop()
        await asyncio.sleep(0.3)  # uvicorn checks for its end ten times a second
        assert "connection: close" in await response_head(streams)
        assert await streams[0].read() == b""
        # No connection is left: the server stops long before the linger time is over.
        await asyncio.wait_for(task, 10)


async def test_a_connection_made_after_stop_is_still_served() -> None:
    async with running(linger=20) as (server, _, port), connected(port) as idle:
        await response_head(idle)
        server.stop()
        async with connected(port) as late:
            assert "connection: close" in await response_head(late)


async def test_a_silent_connection_ends_with_the_linger_time() -> None:
    async with running(linger=0.2) as (server, task, port), connected(port) as silent:
        await asyncio.sleep(0.1)
        server.stop()
        await asyncio.wait_for(task, 10)
        assert await silent[0].read() == b""


async def test_without_connections_the_server_stops_at_once() -> None:
    async with running(linger=1000) as (server, task, port):
        async with connected(port) as streams:
            await response_head(streams)
        server.stop()
        await asyncio.wait_for(task, 10)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
