"""A server on loopback, and clients that send bytes which no HTTP library sends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import get, post
from litestar.params import JSONBody

from services.shared.chassis.http.application import application
from services.shared.chassis.http.server import HttpServer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HELLO = b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n"


class Clients:
    """Clients of the server at a port; `close` closes their connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> Streams:
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        self._writers.append(streams[1])
        return streams

    async def require_response(self) -> None:
        """Check that another client gets a response."""
        assert await send(await self.connect(), HELLO) == 200

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


class ServerUnderTest(Clients):
    """A server and its clients. Requests to /slow get their response when `release_slow` is set."""

    task: asyncio.Task[None]

    def __init__(self, limit: int, linger: float) -> None:
        self.release_slow = asyncio.Event()

        @get("/hello", sync_to_thread=False)
        def hello() -> str:
            return "hello"

        @get("/slow")
        async def slow() -> str:
            await self.release_slow.wait()
            return "slow"

        @get("/large", sync_to_thread=False)
        def large() -> bytes:
            return b"x" * 32 * 1024 * 1024

        @post("/notes")
        async def write(data: JSONBody[list[str]]) -> int:
            return len(data)

        self.server = HttpServer(
            application([hello, slow, large, write], title="x"), "127.0.0.1", 0, connections=limit, linger=linger
        )
        self.server.listen()
        assert self.server._socket is not None
        super().__init__(self.server._socket.getsockname()[1])


@asynccontextmanager
async def serving(limit: int = 1000, linger: float = 0) -> AsyncIterator[ServerUnderTest]:
    server = ServerUnderTest(limit, linger)
    server.task = task = asyncio.create_task(server.server.run())
    try:
        yield server
    finally:
        server.release_slow.set()
        await server.close()
        server.server.stop()
        await asyncio.wait_for(task, 30)


async def send(streams: Streams, request: bytes) -> int:
    """Send a request and return the status of its response; 0 without a response."""
    streams[1].write(request)
    return await read_status(streams)


async def read_status(streams: Streams) -> int:
    head = await read_head(streams)
    return int(head.split()[1]) if head else 0


async def read_head(streams: Streams) -> str:
    """Read one response; return its head in lower case, "" without a response."""
    reader, _ = streams
    try:
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode().lower()
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
    except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        return ""
    return head
