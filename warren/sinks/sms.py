"""A text message gateway that delivers nothing: it keeps what it is given, for demos and tests to look at.

POST /messages  Idempotency-Key: <key>  {"to": "+49151…", "text": "…"}  -> 201, or the first answer again
GET  /messages                                                          -> {"sms": [...], ...}
"""

import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import msgspec

__all__ = ["ReceivedSms", "SmsSink"]

LOOPBACK = "127.0.0.1"
LARGEST_BODY = 64 * 1024  # bytes
TEMPORARY_REFUSALS = 2
REFUSED, TEMPFAIL = "+999400", "+999500"


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: str
    text: str


class ReceivedSms(msgspec.Struct, frozen=True, rename="camel"):
    to: str
    text: str
    key: str | None
    received_at: datetime


class SmsSink:
    """An HTTP server in threads of its own; entering starts it, leaving stops it.

    A number that begins with +999400 is refused for good (400), one that begins with +999500 the first two times
    (500); `refuse` adds others. A repeated key is answered as before and adds no message; with another body, 422.
    With `tls` it speaks https. Messages are kept in `messages`, and in `folder`/sms.jsonl if given. `also` adds
    members to GET /messages.
    """

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        folder: Path | None = None,
        tls: ssl.SSLContext | None = None,
        also: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        """0 until started takes any free port; the number it has from then on."""
        self.messages: list[ReceivedSms] = []
        self.requests = 0
        """Messages posted so far, with those that were refused or repeated."""
        self._file = None if folder is None else folder / "sms.jsonl"
        self._tls = tls
        self._also = dict(also or {})
        self._refusals: dict[str, tuple[int, int | None]] = {}
        self._answers: dict[str, _Order] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self.host}:{self.port}/messages"

    def refuse(self, number: str, status: int, *, times: int | None = None) -> None:
        """Answer `status` to this number, so many times or, with None, always."""
        self._refusals[number] = (status, times)

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        sink = self

        class Handler(_Handler):
            owner = sink

        self._server = _Listener((self.host, self.port), Handler)
        if self._tls is not None:
            # The handshake belongs to the thread of its connection, so that a silent client holds up no other.
            self._server.socket = self._tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="sms sink", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def listing(self) -> dict[str, object]:
        return {"sms": self.messages} | {name: read() for name, read in self._also.items()}

    def take(self, body: bytes, key: str | None) -> int:
        """The status to answer with."""
        try:
            order = msgspec.json.decode(body, type=_Order)
        except msgspec.MsgspecError:
            return 400
        with self._lock:
            self.requests += 1
            if key is not None and key in self._answers:
                return 201 if self._answers[key] == order else 422
            if (status := self._refusal(order.to)) is not None:
                return status
            if key is not None:
                self._answers[key] = order
            message = ReceivedSms(order.to, order.text, key, datetime.now(UTC))
            self.messages.append(message)
            if self._file is not None:
                with self._file.open("ab") as file:
                    file.write(msgspec.json.encode(message) + b"\n")
        return 201

    def _refusal(self, number: str) -> int | None:
        if number.startswith(REFUSED):
            self._refusals.setdefault(number, (400, None))
        elif number.startswith(TEMPFAIL):
            self._refusals.setdefault(number, (500, TEMPORARY_REFUSALS))
        status, times = self._refusals.get(number, (0, 0))
        if times == 0:
            return None
        self._refusals[number] = (status, None if times is None else times - 1)
        return status


class _Handler(BaseHTTPRequestHandler):
    owner: SmsSink
    protocol_version = "HTTP/1.1"
    timeout = 30
    # One small answer a request: waiting to fill a packet would only delay it.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/messages":
            self._answer(200, self.owner.listing())
        elif path == "/":
            self._answer(200, {"service": "Warren's stand-in for mail and SMS", "messages": "/messages"})
        else:
            self._answer(404, {"detail": "see /messages"})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            self.close_connection = True
            self._answer(413, {"detail": f"send at most {LARGEST_BODY} bytes and say how many"})
            return
        body = self.rfile.read(int(length))
        if urlsplit(self.path).path != "/messages":
            self._answer(404, {"detail": "see /messages"})
            return
        status = self.owner.take(body, self.headers.get("Idempotency-Key"))
        self._answer(status, {"status": status})

    def _answer(self, status: int, content: object) -> None:
        body = msgspec.json.encode(content)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not worth a line each."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
