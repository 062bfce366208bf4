"""An SMS gateway for demos and tests, which stores messages instead of delivering them.

POST /messages  Idempotency-Key: <key>  {"to": "+49151…", "text": "…"}  -> 201, or the first response again
GET  /messages                                                          -> {"sms": [...], ...}
"""

import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from warren.sinks.sink import LOOPBACK, TEMPORARY_REFUSALS, Sink

MAX_BODY = 64 * 1024  # bytes


class _SmsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: str
    text: str


class ReceivedSms(msgspec.Struct, frozen=True, rename="camel"):
    to: str
    text: str
    key: str | None
    received_at: datetime


class SmsSink(Sink[ReceivedSms]):
    """An HTTP server, with `tls` an HTTPS server, on threads of its own.

    A repeated key gets the first response again and adds no message; with another body, status 422. `more_lists` adds
    members to GET /messages.
    """

    refused: ClassVar = {"+999400": (400, None), "+999500": (500, TEMPORARY_REFUSALS)}

    def __init__(
        self,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        folder: Path | None = None,
        tls: ssl.SSLContext | None = None,
        more_lists: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        super().__init__(host, port, None if folder is None else folder / "sms.jsonl", tls)
        self.requests = 0
        """The number of posted messages, including refused and repeated ones."""
        self._more_lists = dict(more_lists or {})
        self._accepted: dict[str, _SmsRequest] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self.host}:{self.port}/messages"

    def start(self) -> None:
        sink = self

        class Handler(_Handler):
            owner = sink

        self._server = _Listener((self.host, self.port), Handler)
        if self._tls is not None:
            # The handshake runs on the thread of its connection, so that a silent client blocks no other.
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

    def listing(self) -> dict[str, object]:
        return {"sms": self.messages} | {name: read() for name, read in self._more_lists.items()}

    def take(self, body: bytes, key: str | None) -> int:
        """Store a message; returns the status of the response."""
        try:
            request = msgspec.json.decode(body, type=_SmsRequest)
        except msgspec.MsgspecError:
            return 400
        with self._lock:
            self.requests += 1
            if key is not None and key in self._accepted:
                return 201 if self._accepted[key] == request else 422
            if (status := self._refusal(request.to)) is not None:
                return status
            if key is not None:
                self._accepted[key] = request
            self._store(ReceivedSms(request.to, request.text, key, datetime.now(UTC)))
        return 201


class _Handler(BaseHTTPRequestHandler):
    owner: SmsSink
    protocol_version = "HTTP/1.1"
    timeout = 30
    # A response is small: Nagle's algorithm would only delay it.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/messages":
            self._respond(200, self.owner.listing())
        elif path == "/":
            self._respond(200, {"service": "Warren's mail and SMS sinks", "messages": "/messages"})
        else:
            self._respond(404, {"detail": "see /messages"})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self._respond(413, {"detail": f"send at most {MAX_BODY} bytes and say how many"})
            return
        body = self.rfile.read(int(length))
        if urlsplit(self.path).path != "/messages":
            self._respond(404, {"detail": "see /messages"})
            return
        status = self.owner.take(body, self.headers.get("Idempotency-Key"))
        self._respond(status, {"status": status})

    def _respond(self, status: int, content: object) -> None:
        body = msgspec.json.encode(content)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs no requests."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
