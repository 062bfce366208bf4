"""Jaeger's query API, which Jaeger and the local trace store answer: its JSON form, and a client."""

import json
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode

import msgspec

from warren.errors import ClientError
from warren.http import NoResponse, request

TIMEOUT = 10.0  # seconds
Microseconds = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""A time since 1970, until the year 2255, or a duration."""
T = TypeVar("T")


class JaegerTag(msgspec.Struct, frozen=True):
    """An attribute. `type` is string, bool, int64, float64 or binary (base64)."""

    key: str
    type: str
    value: Any


class JaegerReference(msgspec.Struct, frozen=True):
    """A related span: CHILD_OF names the parent, FOLLOWS_FROM a link."""

    ref_type: str = msgspec.field(name="refType")
    trace_id: str = msgspec.field(name="traceID")
    span_id: str = msgspec.field(name="spanID")


class JaegerLog(msgspec.Struct, frozen=True):
    """An event of a span; the field `event` has its name."""

    timestamp: int
    """Microseconds since 1970."""
    fields: list[JaegerTag] = []


class JaegerSpan(msgspec.Struct, frozen=True, kw_only=True):
    """A span; `process_id` is a key of `JaegerTrace.processes`."""

    trace_id: str = msgspec.field(name="traceID")
    span_id: str = msgspec.field(name="spanID")
    operation_name: str = msgspec.field(name="operationName")
    references: list[JaegerReference] | None = None
    start_time: Microseconds = msgspec.field(name="startTime")
    """Microseconds since 1970."""
    duration: Microseconds
    """Microseconds."""
    tags: list[JaegerTag] | None = None
    logs: list[JaegerLog] | None = None
    process_id: str = msgspec.field(name="processID")
    warnings: list[str] | None = None


class JaegerProcess(msgspec.Struct, frozen=True):
    """The sender of spans, with the attributes of its resource."""

    service_name: str = msgspec.field(name="serviceName")
    tags: list[JaegerTag] | None = None


class JaegerTrace(msgspec.Struct, frozen=True, kw_only=True):
    """All spans of a trace, with their processes."""

    trace_id: str = msgspec.field(name="traceID")
    spans: list[JaegerSpan]
    processes: dict[str, JaegerProcess]
    warnings: list[str] | None = None


class JaegerError(msgspec.Struct, frozen=True):
    """An error of a request; `code` is the HTTP status."""

    code: int
    msg: str


class JaegerResponse(msgspec.Struct, frozen=True):
    """The body of each response of the API; `data` depends on the request."""

    data: Any
    total: int = 0
    limit: int = 0
    offset: int = 0
    errors: list[JaegerError] | None = None


class JaegerClient:
    """Blocking client of the API at `url`, such as http://localhost:16686. Raises ClientError."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def trace(self, trace_id: str) -> JaegerTrace | None:
        """Return a trace; None if the store does not have it."""
        found = self._get(f"traces/{trace_id}", list[JaegerTrace])
        return found[0] if found else None

    def services(self) -> list[str]:
        return self._get("services", list[str]) or []

    def find(self, service: str, tags: dict[str, str]) -> list[JaegerTrace]:
        """Return the newest traces in which a span of the service has the tags, at most 20."""
        parameters = urlencode({"service": service, "tags": json.dumps(tags), "limit": 20})
        return self._get(f"traces?{parameters}", list[JaegerTrace]) or []

    def _get(self, path: str, kind: type[T]) -> T | None:
        try:
            response = request("GET", f"{self.url}/api/{path}", timeout=TIMEOUT)
        except NoResponse as error:
            raise ClientError(f"the trace store {self.url} cannot be reached ({error})") from error
        try:
            content = msgspec.json.decode(response.body, type=JaegerResponse)
            if response.status == 404 and content.errors and "trace not found" in content.errors[0].msg:
                return None
            if response.is_error:
                reason = content.errors[0].msg if content.errors else "no reason given"
                raise ClientError(f"{response.url} answered {response.status}: {reason}", response.status)
            return None if content.data is None else msgspec.convert(content.data, kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ClientError(
                f"{response.url} answered {response.status} and no traces: is this the query API of Jaeger?",
                response.status,
            ) from error
