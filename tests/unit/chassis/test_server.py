"""A server that is told to stop cuts off nobody who is talking to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from litestar import get

from services.shared.chassis.http.application import application
from services.shared.chassis.http.server import HttpServer

REQUEST = b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


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


async def asked(streams: Streams) -> str:
    """The head of the answer, in lower case."""
    reader, writer = streams
    writer.write(REQUEST)
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert head.startswith("http/1.1 200 ")
    await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
    return head


async def test_a_connection_in_use_is_answered_once_more_and_told_that_it_ends() -> None:
    async with running(linger=20) as (server, task, port), connected(port) as streams:
        assert "connection: close" not in await asked(streams)
        server.stop()
        await asyncio.sleep(0.3)  # uvicorn looks for its end every tenth of a second
        assert "connection: close" in await asked(streams)
        assert await streams[0].read() == b""
        # Nobody is left: it ends long before the time is over.
        await asyncio.wait_for(task, 10)


async def test_who_comes_late_is_answered_too() -> None:
    async with running(linger=20) as (server, _, port), connected(port) as idle:
        await asked(idle)
        server.stop()
        async with connected(port) as late:
            assert "connection: close" in await asked(late)


async def test_whoever_says_nothing_is_not_waited_for_longer_than_that() -> None:
    async with running(linger=0.2) as (server, task, port), connected(port) as silent:
        await asyncio.sleep(0.1)
        server.stop()
        await asyncio.wait_for(task, 10)
        assert await silent[0].read() == b""


async def test_without_connections_it_ends_at_once() -> None:
    async with running(linger=1000) as (server, task, port):
        async with connected(port) as streams:
            await asked(streams)
        server.stop()
        await asyncio.wait_for(task, 10)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
