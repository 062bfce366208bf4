"""Limits for one HTTP client: bytes of a request, seconds of waiting, connections.

uvicorn's httptools protocol limits neither the head of a request nor any time except that of idle connections. This
subclass does. Deadlines are checked once a second for all connections, so a request costs no timer.
"""

import asyncio
import resource
from collections.abc import Iterable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.shared.chassis.http.problems import problem_body

MAX_HEAD = 32 * 1024  # bytes of the request line and all headers
MAX_HEADERS = 100
MAX_FRAMING = 512 * 1024  # bytes of a body's chunk sizes and trailers; many one-byte chunks stay below
MAX_PIPELINED = 20  # requests of one connection that wait for the response to the previous one
HEAD_SECONDS = 10.0  # from the connection, or from a request's first byte, to the end of its head
BODY_SECONDS = 30.0  # from there to the end of the body
WRITE_SECONDS = 30.0  # how long a client may read nothing of a response
REFUSED_SECONDS = 2.0  # how long a refused client may take to read the response
MAX_DISCARDED = 4 * 1024 * 1024  # bytes that it may send during that time


class ConnectionLimiter:
    """The connections of one server: at most `limit`, and at most `share` of the files that the process may open.

    One more connection closes the one that has waited longest for its client: idle, silent, or in the middle of a
    request. If a response is in progress on every connection, the new one gets 503.
    """

    def __init__(self, limit: int, share: float) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limit = limit if files == resource.RLIM_INFINITY else min(limit, max(1, int(files * share)))
        self._waiting: dict[LimitedProtocol, None] = {}  # a dict keeps the order

    def protocol(self, *arguments: Any, **options: Any) -> "LimitedProtocol":
        """Create the protocol of a connection; uvicorn calls it."""
        return LimitedProtocol(self, *arguments, **options)

    def mark_waiting(self, connection: "LimitedProtocol") -> None:
        """Record that `connection` now waits for its client."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def mark_busy(self, connection: "LimitedProtocol") -> None:
        """Record that `connection` no longer waits: its request is complete, or it has ended."""
        self._waiting.pop(connection, None)

    def make_room_for(self, connection: "LimitedProtocol") -> None:
        oldest = next(iter(self._waiting))
        if oldest is connection:
            connection.refuse(503, "All connections are in use. Try again in a moment.")
        else:
            self._waiting.pop(oldest)
            oldest.transport.abort()


class _Stage(Enum):
    SILENT = auto()
    """Connected, no byte received."""
    HEAD = auto()
    BODY = auto()
    COMPLETE = auto()
    """The request is complete, its response is not."""
    IDLE = auto()
    """Between two requests; uvicorn's keep-alive timeout ends it."""
    REFUSED = auto()
    """The response is sent and the connection closed for writing. Input is discarded: an immediate close would reset
    the connection, and the client would lose the response."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection, with limits."""

    def __init__(self, limiter: ConnectionLimiter, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limiter = limiter
        self._stage = _Stage.SILENT
        self._since = self.loop.time()  # when the current stage began
        self._stalled: float | None = None  # since when the client reads nothing
        self._received = self._head = self._body = 0  # bytes of the current request
        self._refusal: tuple[int, str] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._limiter.mark_waiting(self)
        if len(self.connections) > self._limiter.limit:
            self._limiter.make_room_for(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limiter.mark_busy(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._stage is _Stage.REFUSED:
            self._received += len(data)
            if self._received > MAX_DISCARDED:
                self.transport.abort()
            return
        if self._stage in {_Stage.SILENT, _Stage.IDLE}:
            self._enter(_Stage.HEAD)
        self._received += len(data)
        super().data_received(data)
        if self._stage is _Stage.HEAD and self._received > MAX_HEAD:
            self.refuse(*_HEAD_TOO_LARGE)
        elif self._stage is _Stage.BODY and self._received - self._body > MAX_HEAD + MAX_FRAMING:
            self.refuse(400, "The chunk sizes and trailers of the body are too large.")

    def on_message_begin(self) -> None:
        if self._stage is _Stage.COMPLETE:  # pipelined
            self._enter(_Stage.HEAD)
        self._head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            self._stop_reading(431, f"The request has more than {MAX_HEADERS} headers.")

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            self._stop_reading(400, f"More than {MAX_PIPELINED} requests came without waiting for a response.")
        self._enter(_Stage.BODY)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._received = self._body = 0
        if self.cycle.response_complete:
            self._enter(_Stage.IDLE)
        else:
            self._stage = _Stage.COMPLETE
            self._limiter.mark_busy(self)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline:
            self._limiter.mark_waiting(self)
            if self._stage is _Stage.COMPLETE:
                self._enter(_Stage.IDLE)

    def pause_writing(self) -> None:
        self._stalled = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stalled = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse the request; uvicorn calls it when the parser fails or a callback raises."""
        self.refuse(*self._refusal or (400, msg))

    def refuse(self, status: int, detail: str) -> None:
        """Send a problem for the request that is being received, unless its response has begun, and close."""
        if self.transport.is_closing() or self._stage is _Stage.REFUSED:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self._stage is not _Stage.BODY or self.cycle.response_started or self.pipeline:
                self.transport.abort()  # the client expects another response first
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.write(_problem(status, detail))
        elif self._stage is not _Stage.BODY:
            self.transport.write(_problem(status, detail))
        self._enter(_Stage.REFUSED)
        self._unset_keepalive_if_required()
        self.transport.write_eof()

    def check_deadlines(self, now: float) -> None:
        """Close the connection if its client is too slow."""
        age = now - self._since
        if self._stalled is not None and now - self._stalled > WRITE_SECONDS:
            self.transport.abort()
        elif self.transport.is_closing():
            if age > WRITE_SECONDS:
                self.transport.abort()
        elif self.flow.read_paused:  # the process has paused reading: the client is not to blame
            self._since = now
        elif self._stage is _Stage.REFUSED and age > REFUSED_SECONDS:
            self.transport.abort()
        elif self._stage is _Stage.SILENT and age > HEAD_SECONDS:
            self.transport.close()
        elif self._stage is _Stage.HEAD and age > HEAD_SECONDS:
            self.refuse(408, f"The head of the request was not complete after {HEAD_SECONDS:.0f} s.")
        elif self._stage is _Stage.BODY and age > BODY_SECONDS:
            self.refuse(408, f"The body of the request was not complete after {BODY_SECONDS:.0f} s.")

    def _enter(self, stage: _Stage) -> None:
        self._stage = stage
        self._since = self.loop.time()

    def _count(self, size: int) -> None:
        self._head += size + 4  # colon, space, end of line
        if self._head > MAX_HEAD:
            self._stop_reading(*_HEAD_TOO_LARGE)

    def _stop_reading(self, status: int, detail: str) -> None:
        """Stop the parser by an exception; uvicorn then calls `send_400_response`."""
        self._refusal = (status, detail)
        raise ValueError(detail)


_HEAD_TOO_LARGE = (431, f"Request line and headers have more than {MAX_HEAD} bytes.")


def check_all(connections: Iterable[Any], now: float) -> None:
    for each in list(connections):
        each.check_deadlines(now)


def _problem(status: int, detail: str) -> bytes:
    title = HTTPStatus(status).phrase
    body = problem_body(status, title, detail)
    head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body
