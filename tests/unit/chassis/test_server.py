"""A server that stops interrupts no request in progress."""

import asyncio

import pytest

from tests.unit.chassis.http_server import HELLO, Streams, read_head, serving


async def response_head(streams: Streams) -> str:
    """Send a request; return the head of its response in lower case."""
    streams[1].write(HELLO)
    head = await read_head(streams)
    assert head.startswith("http/1.1 200 ")
    return head


async def test_after_stop_a_connection_gets_one_more_response_which_closes_it() -> None:
    async with serving(linger=20) as server:
        streams = await server.connect()
        assert "connection: close" not in await response_head(streams)
        server.server.stop()
        await asyncio.sleep(0.3)  # uvicorn checks for its end ten times a second
        assert "connection: close" in await response_head(streams)
        assert await streams[0].read() == b""
        # No connection is left: the server stops long before the linger time is over.
        await asyncio.wait_for(server.task, 10)


async def test_a_connection_made_after_stop_is_still_served() -> None:
    async with serving(linger=20) as server:
        await response_head(await server.connect())
        server.server.stop()
        assert "connection: close" in await response_head(await server.connect())


async def test_a_silent_connection_ends_with_the_linger_time() -> None:
    async with serving(linger=0.2) as server:
        silent = await server.connect()
        await asyncio.sleep(0.1)
        server.server.stop()
        await asyncio.wait_for(server.task, 10)
        assert await silent[0].read() == b""


async def test_without_connections_the_server_stops_at_once() -> None:
    async with serving(linger=1000) as server:
        await response_head(await server.connect())
        await server.close()
        server.server.stop()
        await asyncio.wait_for(server.task, 10)
        with pytest.raises(ConnectionRefusedError):
            await server.connect()
