"""TCP proxies that inject network faults between a client and a server.

A `FaultProxy` passes bytes on without reading them, TLS included. A `FrameProxy` terminates TLS on both sides with the
certificates of the instance and can drop single frames. Faults may be injected from any thread.
"""

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, Self, TypeVar

from devtools.servers.credentials import ServerCertificate
from faults import frames
from faults.frames import FrameMatcher

T = TypeVar("T")
P = TypeVar("P", bound="FaultProxy")


class Direction(Enum):
    TO_SERVER = "to the server"
    FROM_SERVER = "from the server"


BOTH = frozenset(Direction)
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
ACCEPT_TURNS = 20
"""More turns of the loop than asyncio takes from an accepted connection to the first step of `_serve`."""
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _abort(writers: Iterable[asyncio.StreamWriter]) -> None:
    for writer in writers:
        with suppress(Exception):  # the connection may be closed already
            writer.transport.abort()


class FaultProxy:
    """Listens on a free loopback port and connects each client to `port` of `host`.

    Runs on the event loop that creates it; `serving` starts and stops it.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._loop = asyncio.get_running_loop()
        self._target = host, port
        self._passing = {direction: asyncio.Event() for direction in Direction}
        self._requests_pass = asyncio.Event()
        self._requests_pass.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._delay = 0.0
        self.port = 0
        self.heal()

    def cut(self) -> None:
        """Reset every open connection; new ones are served."""
        self._loop.call_soon_threadsafe(lambda: _abort(list(self._writers)))

    def refuse(self) -> None:
        """Reset every open connection, and each new one, until healed."""
        self._refusing = True
        self.cut()

    def black_hole(self, directions: frozenset[Direction] = BOTH) -> None:
        """Pass nothing in these directions and keep connections open, as with a pulled cable."""
        for direction in directions:
            self._loop.call_soon_threadsafe(self._passing[direction].clear)

    def delay(self, seconds: float) -> None:
        """Delay all data by `seconds`, in both directions."""
        self._delay = seconds

    def pause_requests(self) -> None:
        """Send nothing to the server until `resume_requests`; other methods do not end this."""
        self._loop.call_soon_threadsafe(self._requests_pass.clear)

    def resume_requests(self) -> None:
        self._loop.call_soon_threadsafe(self._requests_pass.set)

    def heal(self) -> None:
        """Pass bytes again; those that were held back arrive now, on connections that are still open."""
        self._refusing = False
        self._delay = 0.0
        for passing in self._passing.values():
            self._loop.call_soon_threadsafe(passing.set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._listener_tls())
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        # asyncio leaks a connection whose server is closed while it is accepted, and a task that is cancelled before
        # its first step could not close its connection.
        for _ in range(ACCEPT_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        _abort(list(self._writers))
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._spawn(self._serve((reader, writer)))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: Stream) -> None:
        opened = [client[1]]
        try:
            if self._refusing:
                raise ConnectionRefusedError
            for passing in self._passing.values():
                await passing.wait()  # a black hole does not answer new clients either
            server = await self._connect()
            opened.append(server[1])
            await self._negotiate(client, server)
        except (OSError, EOFError):
            _abort(opened)
            return
        except asyncio.CancelledError:
            _abort(opened)
            raise
        self._writers.update(opened)
        self._spawn(self._copy(client[0], server[1], Direction.TO_SERVER))
        self._spawn(self._copy(server[0], client[1], Direction.FROM_SERVER))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction) -> None:
        try:
            while data := await source.read(65536):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._passing[direction].wait()
                if direction is Direction.TO_SERVER:
                    await self._requests_pass.wait()
                sink.write(self._filter(data, sink, direction))
                await sink.drain()
        except OSError:
            pass
        finally:
            _abort([sink])
            self._forget(sink)

    # FrameProxy overrides these methods

    def _listener_tls(self) -> ssl.SSLContext | None:
        return None

    async def _connect(self) -> Stream:
        return await asyncio.open_connection(*self._target)

    async def _negotiate(self, client: Stream, server: Stream) -> None:
        """Runs before any bytes are passed on."""

    def _filter(self, data: bytes, sink: asyncio.StreamWriter, direction: Direction) -> bytes:
        return data

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)


class FrameProxy(FaultProxy):
    """Terminates TLS and splits what the server sends into frames, so that single ones can be dropped.

    `certificate` is presented to clients; the server is verified against `ca_file`. PostgreSQL starts TLS after a
    request in clear text, AMQP with the first byte.
    """

    def __init__(self, port: int, certificate: ServerCertificate, ca_file: Path, *, postgres: bool = False) -> None:
        super().__init__(port)
        self._server_tls = ssl.create_default_context(cafile=ca_file)
        self._client_tls = certificate.server_tls()
        self._postgres = postgres
        self._split: Callable[[bytearray], list[bytes]] = frames.split_postgres if postgres else frames.split_amqp
        self._buffers: dict[asyncio.StreamWriter, bytearray] = {}
        self._drop: FrameMatcher | None = None
        self._to_drop = 0
        self.dropped = 0

    def drop_frames(self, matches: FrameMatcher, count: int = 1) -> None:
        """Drop the next `count` matching frames of the server, and reset the connections with the last one."""
        self._drop, self._to_drop, self.dropped = matches, count, 0

    def stop_dropping(self) -> None:
        self._drop = None

    def heal(self) -> None:
        self.stop_dropping()
        super().heal()

    def _listener_tls(self) -> ssl.SSLContext | None:
        return None if self._postgres else self._client_tls

    async def _connect(self) -> Stream:
        return await asyncio.open_connection(*self._target, ssl=None if self._postgres else self._server_tls)

    async def _negotiate(self, client: Stream, server: Stream) -> None:
        if self._postgres:
            server[1].write(await client[0].readexactly(len(SSL_REQUEST)))
            client[1].write(await server[0].readexactly(1))
            await client[1].start_tls(self._client_tls)
            await server[1].start_tls(self._server_tls, server_hostname="127.0.0.1")
            for _, writer in (client, server):
                protocol: Any = writer.transport.get_protocol()
                protocol._over_ssl = True  # else asyncio warns at the end of each connection
        self._buffers[client[1]] = bytearray()

    def _filter(self, data: bytes, sink: asyncio.StreamWriter, direction: Direction) -> bytes:
        if direction is Direction.TO_SERVER:
            return data
        buffer = self._buffers[sink]
        buffer += data
        passed = []
        for frame in self._split(buffer):
            if self._drop is None or not self._drop(frame):
                passed.append(frame)
                continue
            self.dropped += 1
            self._to_drop -= 1
            if not self._to_drop:
                # Later frames are lost too: neither protocol allows a gap.
                self._drop = None
                self.cut()
                break
        return b"".join(passed)

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        super()._forget(writer)
        self._buffers.pop(writer, None)


class Proxies:
    """All proxies of a system, on one event loop in a thread of its own. `close` stops them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._thread.start()
        self._by_name: dict[str, FaultProxy] = {}

    def proxy(self, name: str, port: int) -> FaultProxy:
        """The proxy of that name; the first call starts it, in front of the server at `port`."""
        if name not in self._by_name:
            self._by_name[name] = self._start(lambda: FaultProxy(port))
        return self._by_name[name]

    def frame_proxy(self, port: int, certificate: ServerCertificate, ca_file: Path, *, postgres: bool) -> FrameProxy:
        """Start a new proxy in front of the server at `port`."""
        proxy = self._start(lambda: FrameProxy(port, certificate, ca_file, postgres=postgres))
        self._by_name[f"frames {proxy.port}"] = proxy
        return proxy

    def heal(self) -> None:
        for proxy in self._by_name.values():
            proxy.heal()

    def close(self) -> None:
        self.run(self._stop_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop of the proxies and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _start(self, make: Callable[[], P]) -> P:
        async def started() -> P:
            proxy = make()
            await proxy.start()
            return proxy

        return self.run(started())

    async def _stop_all(self) -> None:
        await asyncio.gather(*(proxy.stop() for proxy in self._by_name.values()))
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
