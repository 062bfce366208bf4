"""The wires between each service and its two servers, with somebody's hand on them.

A `Line` passes bytes on without reading them, TLS included. An `OpenLine` ends TLS on both sides with the
certificates of the instance, sees the frames inside, and can lose single ones. All lines live on one event loop in a
thread of its own; their methods may be called from any other.
"""

import asyncio
import ssl
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from enum import Enum
from typing import Any, TypeVar

from devtools.servers.credentials import Certificates, ServerCertificate
from faults import frames
from faults.frames import Verdict

T = TypeVar("T")
L = TypeVar("L", bound="Line")


class Direction(Enum):
    TO_SERVER = "to the server"
    FROM_SERVER = "from the server"


BOTH = frozenset(Direction)
SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
TURNS_OF_ACCEPTING = 20
"""More turns of the loop than asyncio takes from a connection to the first step of `_serve`."""
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def abort(writers: list[asyncio.StreamWriter]) -> None:
    """Reset their connections, those that are gone already included."""
    for writer in writers:
        with suppress(Exception):
            writer.transport.abort()


class Line:
    """Listens on a free loopback port and connects each client to `target`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int) -> None:
        self._loop = loop
        self._target = target
        self._passing = {direction: asyncio.Event() for direction in Direction}
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self._delay = 0.0
        self._released = asyncio.Event()
        self._released.set()
        self.port = 0
        self.heal()

    # What a test does to it

    def cut(self) -> None:
        """Reset every connection that is open now; new ones are served."""
        self._loop.call_soon_threadsafe(self._abort)

    def refuse(self) -> None:
        """Reset every connection, and each new one, until healed."""
        self._refusing = True
        self.cut()

    def black_hole(self, directions: frozenset[Direction] = BOTH) -> None:
        """Connections stay, and nothing passes in these directions: what a pulled cable looks like."""
        for direction in directions:
            self._loop.call_soon_threadsafe(self._passing[direction].clear)

    def delay(self, seconds: float) -> None:
        """Whatever passes, in either direction, takes so much longer."""
        self._delay = seconds

    def hold(self) -> None:
        """Send nothing on to the server until `release`, whatever else is healed: a moment without publishes."""
        self._loop.call_soon_threadsafe(self._released.clear)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._released.set)

    def heal(self) -> None:
        """Let bytes pass again; those held back arrive now, on connections that still stand."""
        self._refusing = False
        self._delay = 0.0
        for passing in self._passing.values():
            self._loop.call_soon_threadsafe(passing.set)

    # How it works

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._shows())
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """On the loop: listen no more, end what is open."""
        self._server.close()
        self._abort()

    def _shows(self) -> ssl.SSLContext | None:
        """What it shows to clients that begin with TLS, if it ends that."""
        return None

    def _abort(self) -> None:
        abort(list(self._writers))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._keep(self._serve((reader, writer)))

    async def _serve(self, near: Streams) -> None:
        opened = [near[1]]
        try:
            if self._refusing:
                raise ConnectionRefusedError
            # A black hole answers nobody, newcomers included.
            for passing in self._passing.values():
                await passing.wait()
            far = await self._dial()
            opened.append(far[1])
            await self._agree(near, far)
        except (OSError, EOFError):
            abort(opened)
            return
        except asyncio.CancelledError:
            abort(opened)
            raise
        self._writers.update(opened)
        self._keep(self._copy(near[0], far[1], Direction.TO_SERVER))
        self._keep(self._copy(far[0], near[1], Direction.FROM_SERVER))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _dial(self) -> Streams:
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def _agree(self, near: Streams, far: Streams) -> None:
        """What has to be said on both sides before bytes are passed on."""

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: Direction) -> None:
        try:
            while data := await source.read(65536):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._passing[direction].wait()
                if direction is Direction.TO_SERVER:
                    await self._released.wait()
                sink.write(self._through(data, sink, direction))
                await sink.drain()
        except OSError:
            pass
        finally:
            abort([sink])
            self._closed(sink)

    def _through(self, data: bytes, sink: asyncio.StreamWriter, direction: Direction) -> bytes:
        return data

    def _closed(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)


class OpenLine(Line):
    """A line that reads along. `certificate` is what it shows to clients, `ca` what it trusts the server by."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        target: int,
        certificate: ServerCertificate,
        ca: ssl.SSLContext,
        *,
        postgres: bool = False,
    ) -> None:
        super().__init__(loop, target)
        self._ca = ca
        self._shown = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._shown.load_cert_chain(certificate.chain_file, certificate.key_file)
        self._postgres = postgres
        self._split: Callable[[bytearray], list[bytes]] = frames.split_postgres if postgres else frames.split_amqp
        self._buffers: dict[asyncio.StreamWriter, bytearray] = {}
        self._swallow: Verdict | None = None
        self._left = 0
        self.swallowed = 0

    def swallow(self, verdict: Verdict, count: int = 1) -> None:
        """Lose the next `count` frames from the server that `verdict` names, and with the last one the connections."""
        self._swallow, self._left, self.swallowed = verdict, count, 0

    def forgive(self) -> None:
        """Lose nothing more."""
        self._swallow = None

    def heal(self) -> None:
        self.forgive()
        super().heal()

    async def _dial(self) -> Streams:
        # With PostgreSQL TLS begins later: both sides agree on it in the clear first.
        return await asyncio.open_connection("127.0.0.1", self._target, ssl=None if self._postgres else self._ca)

    async def _agree(self, near: Streams, far: Streams) -> None:
        if self._postgres:
            far[1].write(await near[0].readexactly(len(SSL_REQUEST)))
            near[1].write(await far[0].readexactly(1))
            await near[1].start_tls(self._shown)
            await far[1].start_tls(self._ca, server_hostname="127.0.0.1")
            for _, writer in (near, far):
                protocol: Any = writer.transport.get_protocol()
                protocol._over_ssl = True  # else the end of each connection is worth a warning to asyncio
        self._buffers[near[1]] = bytearray()

    def _closed(self, writer: asyncio.StreamWriter) -> None:
        super()._closed(writer)
        self._buffers.pop(writer, None)

    def _shows(self) -> ssl.SSLContext | None:
        return None if self._postgres else self._shown

    def _through(self, data: bytes, sink: asyncio.StreamWriter, direction: Direction) -> bytes:
        if direction is Direction.TO_SERVER:
            return data
        buffer = self._buffers[sink]
        buffer += data
        passed = []
        for frame in self._split(buffer):
            if self._swallow is None or not self._swallow(frame):
                passed.append(frame)
                continue
            self.swallowed += 1
            self._left -= 1
            if not self._left:
                # What came behind it is lost too: the protocol knows no gap.
                self._swallow = None
                self._loop.call_soon(self._abort)
                break
        return b"".join(passed)


class Lines:
    """All lines of a system, by name. `close` ends them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="lines", daemon=True)
        self._thread.start()
        self._lines: dict[str, Line] = {}

    def line(self, name: str, target: int) -> Line:
        """The line of that name; a new one, to the server at port `target`, the first time."""
        if name not in self._lines:
            self._lines[name] = self._open(lambda: Line(self._loop, target))
        return self._lines[name]

    def open_line(self, target: int, certificate: ServerCertificate, authority: Certificates, kind: str) -> OpenLine:
        """A line to the server at port `target` that reads along; `kind` is amqp or postgres."""
        ca = ssl.create_default_context(cafile=authority.ca_file)
        postgres = kind == "postgres"
        line = self._open(lambda: OpenLine(self._loop, target, certificate, ca, postgres=postgres))
        self._lines[f"{kind} {line.port}"] = line
        return line

    def heal(self) -> None:
        for line in self._lines.values():
            line.heal()

    def close(self) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do something; returns its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def _open(self, make: Callable[[], L]) -> L:
        async def opening() -> L:
            line = make()
            await line.listen()
            return line

        return self.run(opening())

    async def _end(self) -> None:
        # First all that has come so far: asyncio forgets a connection if its server is closed while it is accepted, and
        # a task that is cancelled before its first step could not close what it was given.
        for _ in range(TURNS_OF_ACCEPTING):
            await asyncio.sleep(0)
        for line in self._lines.values():
            line.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
