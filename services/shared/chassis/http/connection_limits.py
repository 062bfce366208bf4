"""Limits against slow or abusive HTTP clients: size of a request, time for each part of it, number of connections.

uvicorn's httptools protocol does not limit the size of a request's head, and has no time limit except for idle
connections. LimitedProtocol adds both. Deadlines of all connections are checked once a second: no timer per request.
"""

import asyncio
import resource
from collections.abc import Iterable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.shared.chassis.http.problems import encode_problem

MAX_HEAD = 32 * 1024  # bytes of the request line and all headers
MAX_HEADERS = 100
MAX_FRAMING = 512 * 1024  # bytes of a body's chunk sizes and trailers; enough for many one-byte chunks
MAX_PIPELINED = 20  # requests of one connection that wait for the response to the previous one
HEAD_SECONDS = 10.0  # from the connection to the first byte, and from a request's first byte to the end of its head
BODY_SECONDS = 30.0  # from the end of the head to the end of the body
WRITE_SECONDS = 30.0  # a client that reads nothing of a response for this time is disconnected
REFUSED_SECONDS = 2.0  # time for a refused client to read the response
MAX_DISCARDED = 4 * 1024 * 1024  # bytes that a refused client may still send during that time


class ConnectionLimiter:
    """Limits the connections of one server to `limit`, and to a fraction `share` of the process's limit of open files.

    A connection beyond the limit replaces the one that has waited longest for its client (idle, silent, or within a
    request). If all connections wait for the server's response, the new one gets 503.
    """

    def __init__(self, limit: int, share: float) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.limit = limit if files == resource.RLIM_INFINITY else min(limit, max(1, int(files * share)))
        self._waiting: dict[LimitedProtocol, None] = {}  # a dict keeps the order

    def protocol(self, *arguments: Any, **options: Any) -> "LimitedProtocol":
        """Create the protocol of a new connection. uvicorn calls this factory."""
        return LimitedProtocol(self, *arguments, **options)

    def mark_waiting(self, connection: "LimitedProtocol") -> None:
        """Record that `connection` now waits for its client."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = None

    def mark_busy(self, connection: "LimitedProtocol") -> None:
        """Record that `connection` no longer waits: its request is complete, or it has ended."""
        self._waiting.pop(connection, None)

    def make_room_for(self, connection: "LimitedProtocol") -> None:
        """Close the connection that has waited longest, or refuse `connection` if no other one waits."""
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
    """The request is received, its response is not complete."""
    IDLE = auto()
    """Between two requests; uvicorn's keep-alive timeout ends it."""
    REFUSED = auto()
    """An error response is sent, and the connection is closed for writing. Input is read and discarded: closing at once
    would reset the connection, and the client might lose the response."""


class LimitedProtocol(HttpToolsProtocol):
    """The HTTP protocol of one connection, with limits."""

    def __init__(self, limiter: ConnectionLimiter, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._limiter = limiter
        self._stage = _Stage.SILENT
        self._since = self.loop.time()  # when the current stage began
        self._stalled: float | None = None  # time since which the client reads nothing, if it does not
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
        """Refuse the request. uvicorn calls this when the parser fails or a callback raises."""
        self.refuse(*self._refusal or (400, msg))

    def refuse(self, status: int, detail: str) -> None:
        """Answer the request that is being received with a problem, and close the connection.

        If the client expects another response first, only close.
        """
        if self.transport.is_closing() or self._stage is _Stage.REFUSED:
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self._stage is not _Stage.BODY or self.cycle.response_started or self.pipeline:
                self.transport.abort()  # the problem would be taken for another response
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
        elif self.flow.read_paused:  # the process has paused reading, so the client cannot send
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


def check_all_deadlines(connections: Iterable[Any], now: float) -> None:
    for each in list(connections):
        each.check_deadlines(now)


def _problem(status: int, detail: str) -> bytes:
    title = HTTPStatus(status).phrase
    body = encode_problem(status, title, detail)
    head = f"HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body
