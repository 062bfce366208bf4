"""A trace store for demos and tests: receives spans over OTLP/HTTP, and answers Jaeger's query API.

POST /v1/traces                                  protobuf, gzip or not     -> OTLP's response
GET  /api/traces/{trace id}                                                -> one trace, or status 404
GET  /api/traces?service=…&operation=…&tags={"key":"value"}&start=…&end=…  -> the newest traces, at most `limit` (20)
GET  /api/services                                                         -> the services that have spans

Times are microseconds since 1970. A trace is found by tags that one of its spans has, and by the start of a span.
"""

import json
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from warren.jaeger import JaegerError, JaegerResponse, JaegerSpan
from warren.sinks.http_server import SinkHandler, SinkServer
from warren.sinks.jaeger_form import jaeger_span, jaeger_trace
from warren.sinks.sink import LOOPBACK, Startable
from warren.sinks.trace_store import MAX_BYTES, StoredSpan, TraceStore

MAX_BODY = 4 * 1024 * 1024  # bytes, also after decompression
PROTOBUF = "application/x-protobuf"
DEFAULT_LIMIT = 20
INVALID_ARGUMENT = 3
"""The code of gRPC."""


class RejectedRequest(Exception):
    """A request that cannot be served; the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class TraceSink(Startable):
    """An OTLP and query server on threads of its own, over a store of at most `max_bytes`.

    A rejected request stores nothing and drops nothing.
    """

    def __init__(self, *, host: str = LOOPBACK, port: int = 0, max_bytes: int = MAX_BYTES) -> None:
        self.host = host
        self.port = port
        self.store = TraceStore(max_bytes)

    @property
    def url(self) -> str:
        """The value of OTEL_EXPORTER_OTLP_ENDPOINT, and the base URL of the query API."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        sink = self

        class Handler(_Handler):
            owner = sink

        self._server = SinkServer(self.host, self.port, Handler)
        self.port = self._server.port

    def stop(self) -> None:
        self._server.stop()

    def receive(self, body: bytes, content_type: str, encoding: str) -> bytes:
        """Store the spans of an OTLP request; returns the encoded response. Raises RejectedRequest."""
        if content_type.partition(";")[0].strip().lower() != PROTOBUF:
            raise RejectedRequest(415, f"the body must be {PROTOBUF}, not {content_type or 'without a type'}")
        request = _decode(_decompress(body, encoding.strip().lower()))
        try:
            rejected = self.store.add(request)
        except ValueError as error:
            raise RejectedRequest(413, str(error)) from error
        response = ExportTraceServiceResponse()
        if rejected:
            text = "; ".join(f"{count} spans rejected: {reason}" for reason, count in rejected.items())
            response.partial_success.CopyFrom(
                ExportTracePartialSuccess(rejected_spans=sum(rejected.values()), error_message=text)
            )
        encoded: bytes = response.SerializeToString()
        return encoded

    def query(self, path: str, parameters: Mapping[str, str]) -> JaegerResponse:
        """Answer a request of the query API. Raises RejectedRequest."""
        if path == "/api/services":
            services = self.store.services()
            return JaegerResponse(services, total=len(services))
        if path == "/api/traces":
            return JaegerResponse(self._find(parameters))
        if path.startswith("/api/traces/"):
            trace_id = _trace_id(path.removeprefix("/api/traces/"))
            spans = self.store.get(trace_id)
            if spans is None:
                raise RejectedRequest(404, "trace not found")
            return JaegerResponse([jaeger_trace(trace_id, spans)])
        raise RejectedRequest(404, "see /api/services, /api/traces and /api/traces/{trace id}; spans go to /v1/traces")

    def _find(self, parameters: Mapping[str, str]) -> list[Any]:
        wanted = SpanFilter.read(parameters)
        found: list[Any] = []
        for trace_id, spans in self.store.newest():
            if len(found) == wanted.limit:
                break
            if any(wanted.matches(span) for span in spans):
                found.append(jaeger_trace(trace_id, spans))
        return found


class SpanFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a search."""

    service: str
    operation: str
    tags: dict[str, str]
    start: int
    end: int
    limit: int

    @classmethod
    def read(cls, parameters: Mapping[str, str]) -> "SpanFilter":
        """Raises RejectedRequest."""
        if not parameters.get("service"):
            raise RejectedRequest(400, "parameter 'service' is required")
        try:
            tags = msgspec.json.decode(parameters.get("tags") or "{}", type=dict[str, str])
            numbers = {
                name: int(parameters.get(name) or default)
                for name, default in (("start", 0), ("end", 2**63), ("limit", DEFAULT_LIMIT))
            }
        except (msgspec.MsgspecError, ValueError) as error:
            raise RejectedRequest(400, f"a parameter cannot be read: {error}") from error
        return cls(service=parameters["service"], operation=parameters.get("operation", ""), tags=tags, **numbers)

    def matches(self, stored: StoredSpan) -> bool:
        if stored.source.service != self.service:
            return False
        span = jaeger_span(stored)
        if (self.operation and span.operation_name != self.operation) or not self.start <= span.start_time <= self.end:
            return False
        return self.tags.items() <= _texts(span).items()


def _texts(span: JaegerSpan) -> dict[str, str]:
    return {tag.key: tag.value if isinstance(tag.value, str) else json.dumps(tag.value) for tag in span.tags or ()}


def _decompress(body: bytes, encoding: str) -> bytes:
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise RejectedRequest(415, f"the encoding {encoding!r} is not supported: send gzip, or no encoding")
    reader = zlib.decompressobj(wbits=31)
    try:
        content = reader.decompress(body, MAX_BODY)
    except zlib.error as error:
        raise RejectedRequest(400, f"the body is not gzip: {error}") from error
    if reader.unconsumed_tail:
        raise RejectedRequest(413, f"the body has more than {MAX_BODY} bytes when it is decompressed")
    if not reader.eof:
        raise RejectedRequest(400, "the body is not gzip: it ends too early")
    return content


def _decode(body: bytes) -> ExportTraceServiceRequest:
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise RejectedRequest(400, f"the body is not an ExportTraceServiceRequest: {error}") from error
    return request


def _trace_id(text: str) -> bytes:
    """Return the id; leading zeros may be missing. Raises RejectedRequest."""
    try:
        return bytes.fromhex(text.rjust(32, "0") if 0 < len(text) <= 32 else "-")
    except ValueError as error:
        raise RejectedRequest(400, f"{text[:40]!r} is not a trace id: it has up to 32 hexadecimal digits") from error


class _Handler(SinkHandler):
    owner: TraceSink

    def do_GET(self) -> None:  # noqa: N802 - the standard library's name
        parts = urlsplit(self.path)
        try:
            self.respond(200, self.owner.query(parts.path, dict(parse_qsl(parts.query))))
        except RejectedRequest as error:
            self.respond(error.status, JaegerResponse(None, errors=[JaegerError(error.status, str(error))]))

    def do_POST(self) -> None:  # noqa: N802
        body = self.read_body(MAX_BODY)
        try:
            if body is None:
                raise RejectedRequest(413, f"send at most {MAX_BODY} bytes and say how many")  # noqa: TRY301
            if urlsplit(self.path).path != "/v1/traces":
                raise RejectedRequest(404, "spans go to /v1/traces")  # noqa: TRY301
            headers = self.headers
            response = self.owner.receive(body, headers.get("Content-Type", ""), headers.get("Content-Encoding", ""))
            self.respond_bytes(200, response, PROTOBUF)
        except RejectedRequest as error:
            status = Status(code=INVALID_ARGUMENT, message=str(error))
            self.respond_bytes(error.status, status.SerializeToString(), PROTOBUF)
