"""What one client can take of a server is limited, and others notice nothing of it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from litestar import get, post
from litestar.params import JSONBody

from services.shared.chassis.http import connection_limits
from services.shared.chassis.http.application import application
from services.shared.chassis.http.server import HttpServer

HELLO = b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Clients:
    """Clients of the server at a port; `close` hangs up for all of them."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Streams:
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(streams[1])
        return streams

    async def require_answer(self) -> None:
        """Another client is answered."""
        assert await ask(await self.connect(), HELLO) == 200

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


class Site(Clients):
    """A server, and its clients. Once `gate` is set, requests to /slow are answered."""

    def __init__(self, limit: int) -> None:
        self.gate = asyncio.Event()

        @get("/hello", sync_to_thread=False)
        def hello() -> str:
            return "hello"

        @get("/slow")
        async def slow() -> str:
            await self.gate.wait()
            return "slow"

        @get("/large", sync_to_thread=False)
        def large() -> bytes:
            return b"x" * 32 * 1024 * 1024

        @post("/notes")
        async def write(data: JSONBody[list[str]]) -> int:
            return len(data)

        self.server = HttpServer(
            application([hello, slow, large, write], title="x"), "127.0.0.1", 0, connections=limit, linger=0
        )
        self.server.listen()
        assert self.server._socket is not None
        super().__init__(self.server._socket.getsockname()[1])


@asynccontextmanager
async def serving(limit: int = 1000) -> AsyncIterator[Site]:
    site = Site(limit)
    task = asyncio.create_task(site.server.run())
    try:
        yield site
    finally:
        site.gate.set()
        await site.close()
        site.server.stop()
        await asyncio.wait_for(task, 30)


async def ask(streams: Streams, request: bytes) -> int:
    streams[1].write(request)
    return await status_of(streams)


async def status_of(streams: Streams) -> int:
    """Reads one answer; 0 when there is none."""
    reader, _ = streams
    try:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).lower()
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        return 0
    return int(head.split()[1])


async def require_end(streams: Streams) -> None:
    with suppress(ConnectionError):
        assert await asyncio.wait_for(streams[0].read(), 30) == b""


async def pour(streams: Streams, chunk: bytes, most: int) -> int:
    """Send `chunk` until the server closes; returns the bytes that were written, at most `most`."""
    sent = 0
    try:
        while sent < most and not streams[0].at_eof():
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
async def test_a_head_without_an_end_is_refused_early(start: bytes, chunk: bytes) -> None:
    async with serving() as site:
        streams = await site.connect()
        streams[1].write(start)
        status = asyncio.create_task(status_of(streams))
        sent = await pour(streams, chunk, 64 * 1024 * 1024)
        assert await status in {400, 431}
        await site.require_answer()
    # What the kernel holds between the two is not under our control.
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
async def test_a_head_has_limits(head: bytes, status: int) -> None:
    async with serving() as site:
        streams = await site.connect()
        assert await ask(streams, b"GET /hello HTTP/1.1\r\nHost: here\r\n" + head + b"\r\n") == status


async def test_a_large_body_counts_for_no_head() -> None:
    body = b'["' + b"a" * 60_000 + b'"]'
    request = b"POST /notes HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    async with serving() as site:
        streams = await site.connect()
        for _ in range(2):
            assert await ask(streams, request + b"Content-Length: %d\r\n\r\n" % len(body) + body) == 201
        chunked = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
        assert await ask(streams, request + b"Transfer-Encoding: chunked\r\n\r\n" + chunked) == 201


async def test_trailers_without_an_end_are_refused() -> None:
    head = b"POST /notes HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving() as site:
        for chunk in (b"a" * 8192, b"X: a\r\n" * 1024):
            streams = await site.connect()
            streams[1].write(head + b"0\r\nX: ")
            assert await pour(streams, chunk, 64 * 1024 * 1024) < 32 * 1024 * 1024
        await site.require_answer()


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"", None),
        (b"GET /hello HT", 408),
        (b"POST /notes HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[", 408),
    ],
    ids=["silent", "head", "body"],
)
async def test_a_client_that_is_too_slow_is_not_waited_for(
    start: bytes, status: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", 0.2)
    monkeypatch.setattr(connection_limits, "BODY_SECONDS", 0.2)
    async with serving() as site:
        streams = await site.connect()
        if status is not None:
            assert await ask(streams, start) == status
        await require_end(streams)
        await site.require_answer()
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_a_client_that_takes_no_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_limits, "WRITE_SECONDS", 0.2)
    async with serving() as site:
        streams = await site.connect()
        streams[1].write(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n")
        while site.server._server.server_state.connections:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.05)
        await site.require_answer()


async def test_one_connection_too_many_closes_the_one_that_is_idle_for_longest() -> None:
    async with serving(limit=3) as site:
        silent, used, third = [await site.connect() for _ in range(3)]
        assert await ask(used, HELLO) == 200
        assert await ask(third, HELLO) == 200
        await site.require_answer()
        await require_end(silent)
        assert await ask(used, HELLO) == 200
        for _ in range(2):
            await site.require_answer()
        await require_end(third)


async def test_a_connection_that_is_being_answered_is_never_closed_for_another() -> None:
    async with serving(limit=2) as site:
        busy = [await site.connect() for _ in range(2)]
        for streams in busy:
            streams[1].write(b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n")
        refused = await site.connect()
        assert await status_of(refused) == 503
        site.gate.set()
        assert [await status_of(streams) for streams in busy] == [200, 200]


async def test_requests_that_wait_for_no_answer_are_limited() -> None:
    async with serving() as site:
        streams = await site.connect()
        slow = b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n"
        streams[1].write(slow * 5)
        site.gate.set()
        assert [await status_of(streams) for _ in range(5)] == [200] * 5
        site.gate.clear()
        assert await pour(streams, slow * 100, 64 * 1024 * 1024) < 32 * 1024 * 1024
        await site.require_answer()


FEW_FILES = """
import asyncio, resource
resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
from tests.unit.chassis.test_connection_limits import serving

async def main():
    async with serving() as site:
        await asyncio.get_running_loop().run_in_executor(None, input)

asyncio.run(main())
"""


async def test_more_connections_than_files_shut_nobody_out() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FEW_FILES, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    clients = Clients(int((await process.stdout.readline()).split(b"port=")[1]))
    try:
        for _ in range(5):
            await asyncio.gather(*(clients.connect() for _ in range(50)))
            await clients.require_answer()
    finally:
        await clients.close()
        await process.communicate(b"\n")
