"""An SMS gateway for demos and tests, which stores messages instead of delivering them.

POST /messages  Idempotency-Key: <key>  {"to": "+49151…", "text": "…"}  -> 201, or the first response again
GET  /messages                                                          -> {"sms": [...], ...}
"""

import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import msgspec

from warren.sinks.http_server import SinkHandler, SinkServer
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

        self._server = SinkServer(self.host, self.port, Handler, self._tls)
        self.port = self._server.port

    def stop(self) -> None:
        self._server.stop()

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


class _Handler(SinkHandler):
    owner: SmsSink

    def do_GET(self) -> None:  # noqa: N802 - the standard library's name
        path = urlsplit(self.path).path
        if path == "/messages":
            self.respond(200, self.owner.listing())
        elif path == "/":
            self.respond(200, {"service": "Warren's mail and SMS sinks", "messages": "/messages"})
        else:
            self.respond(404, {"detail": "see /messages"})

    def do_POST(self) -> None:  # noqa: N802
        body = self.read_body(MAX_BODY)
        if body is None:
            self.respond(413, {"detail": f"send at most {MAX_BODY} bytes and say how many"})
        elif urlsplit(self.path).path != "/messages":
            self.respond(404, {"detail": "see /messages"})
        else:
            status = self.owner.take(body, self.headers.get("Idempotency-Key"))
            self.respond(status, {"status": status})
