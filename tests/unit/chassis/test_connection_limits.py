"""One client cannot use up a server: its requests, time and connections are limited, and others are served."""

import asyncio
import subprocess
import sys
from contextlib import suppress

import pytest

from services.shared.chassis.http import connection_limits
from tests.unit.chassis.http_server import HELLO, Clients, Streams, read_status, send, serving


async def require_end(streams: Streams) -> None:
    with suppress(ConnectionError):
        assert await asyncio.wait_for(streams[0].read(), 30) == b""


async def flood(streams: Streams, chunk: bytes, limit: int = 64 * 1024 * 1024) -> int:
    """Send `chunk` until the server closes or `limit` bytes are sent; returns the number of bytes sent."""
    sent = 0
    try:
        while sent < limit and not streams[0].at_eof():
            streams[1].write(chunk)
            await streams[1].drain()
            sent += len(chunk)
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    return sent


@pytest.mark.parametrize(
    ("start", "chunk"),
    [
        (b"GET /hello HTTP/1.1\r\nX: ", b"a" * 8192),
        (b"GET /hello HTTP/1.1\r\n", b"X: a\r\n" * 1024),
        (b"GET /", b"a" * 8192),
        (b"", b"\r\n" * 4096),
    ],
    ids=["a value", "headers", "a path", "empty lines"],
)
async def test_an_endless_request_head_is_refused_early(start: bytes, chunk: bytes) -> None:
    async with serving() as server:
        streams = await server.connect()
        streams[1].write(start)
        status = asyncio.create_task(read_status(streams))
        sent = await flood(streams, chunk)
        assert await status in {400, 431}
        await server.require_response()
    # The kernel buffers an unknown part of it.
    assert sent < 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"X: a\r\n" * 99, 200),
        (b"X: a\r\n" * 100, 431),
        (b"X: " + b"a" * 30_000 + b"\r\n", 200),
        (b"X: " + b"a" * 40_000 + b"\r\n", 431),
    ],
)
async def test_size_and_number_of_headers_are_limited(head: bytes, status: int) -> None:
    async with serving() as server:
        streams = await server.connect()
        assert await send(streams, b"GET /hello HTTP/1.1\r\nHost: here\r\n" + head + b"\r\n") == status


async def test_a_large_body_does_not_count_towards_the_head() -> None:
    body = b'["' + b"a" * 60_000 + b'"]'
    request = b"POST /notes HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    async with serving() as server:
        streams = await server.connect()
        for _ in range(2):
            assert await send(streams, request + b"Content-Length: %d\r\n\r\n" % len(body) + body) == 201
        chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        assert await send(streams, request + b"Transfer-Encoding: chunked\r\n\r\n" + chunked) == 201


async def test_endless_trailers_are_refused() -> None:
    head = b"POST /notes HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving() as server:
        for chunk in (b"a" * 8192, b"X: a\r\n" * 1024):
            streams = await server.connect()
            streams[1].write(head + b"0\r\nX: ")
            assert await flood(streams, chunk) < 32 * 1024 * 1024
        await server.require_response()


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"", None),
        (b"GET /hello HT", 408),
        (b"POST /notes HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[", 408),
    ],
    ids=["silent", "head", "body"],
)
async def test_a_slow_client_is_disconnected(
    start: bytes, status: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connection_limits, "BODY_SECONDS", 0.2)
    async with serving() as server:
        streams = await server.connect()
        if status is not None:
            assert await send(streams, start) == status
        await require_end(streams)
        await server.require_response()
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_a_client_that_reads_no_response_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "WRITE_SECONDS", 0.2)
    async with serving() as server:
        streams = await server.connect()
        streams[1].write(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        while server.server._server.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.05)
        await server.require_response()


async def test_one_connection_too_many_closes_the_longest_idle_one() -> None:
    async with serving(limit=3) as server:
        silent, used, third = [await server.connect() for _ in range(3)]
        assert await send(used, HELLO) == 200
        assert await send(third, HELLO) == 200
        await server.require_response()
        await require_end(silent)
        assert await send(used, HELLO) == 200
        for _ in range(2):
            await server.require_response()
        await require_end(third)


async def test_a_connection_with_a_response_in_progress_is_never_closed_for_another() -> None:
    async with serving(limit=2) as server:
        busy = [await server.connect() for _ in range(2)]
        for streams in busy:
            streams[1].write(b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n")
        refused = await server.connect()
        assert await read_status(refused) == 503
        server.release_slow.set()
        assert [await read_status(streams) for streams in busy] == [200, 200]


async def test_pipelined_requests_are_limited() -> None:
    async with serving() as server:
        streams = await server.connect()
        slow = b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n"
        streams[1].write(slow * 5)
        server.release_slow.set()
        assert [await read_status(streams) for _ in range(5)] == [200] * 5
        server.release_slow.clear()
        assert await flood(streams, slow * 100) < 32 * 1024 * 1024
        await server.require_response()


FEW_FILES = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from tests.unit.chassis.http_server import serving

async def main():
    async with serving() as server:
        await asyncio.get_running_loop().run_in_executor(None, input)

asyncio.run(main())
"""


async def test_more_connections_than_files_do_not_block_new_clients() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FEW_FILES, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    clients = Clients(int((await process.stdout.readline()).split(b"port=")[1]))
    try:
        for _ in range(5):
            await asyncio.gather(*(clients.connect() for _ in range(50)))
            await clients.require_response()
    finally:
        await clients.close()
        await process.communicate(b"\n")
