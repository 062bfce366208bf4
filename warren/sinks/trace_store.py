"""Keeps the newest traces in bounded memory."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

MAX_BYTES = 64 * 1024 * 1024
"""Memory for all traces, about 60,000 spans."""
TRACE_SHARE = 8
"""A trace may fill this part of the memory: one that never ends does not displace all others."""
SPAN_OVERHEAD = 220  # bytes of objects around an encoded span
TRACE_OVERHEAD = 900  # bytes of objects around a trace
MAX_SOURCES = 1000
MAX_SPANS = 20_000
"""The largest number of spans in a request. An SDK sends 512 by default."""
MAX_SOURCE = 64 * 1024  # bytes of the resource and the scope of a span

TRACE_ID = 16  # bytes
SPAN_ID = 8  # bytes


class SpanSource(NamedTuple):
    """Where spans come from: an instrumentation scope of a process. `resource` is an encoded Resource."""

    service: str
    resource: bytes
    scope: str
    scope_version: str

    @property
    def size(self) -> int:
        return len(self.resource) + len(self.scope.encode()) + len(self.scope_version.encode())


class StoredSpan(NamedTuple):
    """A span as an encoded protobuf message, which is smaller than the object."""

    source: SpanSource
    encoded: bytes

    @property
    def size(self) -> int:
        """Bytes, with those of the source: that other spans share it today does not bound the number of sources."""
        return len(self.encoded) + self.source.size + SPAN_OVERHEAD


class TraceStore:
    """Spans by trace and span id. Thread-safe.

    When the stored spans, with all objects around them, exceed `max_bytes`, the traces that received no span for the
    longest time are dropped. A span that arrives again replaces the first.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.dropped = 0
        """The number of traces dropped to stay within the bound."""
        self._traces: OrderedDict[bytes, dict[bytes, StoredSpan]] = OrderedDict()
        self._sizes: dict[bytes, int] = {}
        self._total = 0
        self._sources: dict[SpanSource, SpanSource] = {}
        self._lock = threading.Lock()

    def add(self, request: ExportTraceServiceRequest) -> dict[str, int]:
        """Store the spans of a request; returns the number of rejected spans by reason.

        Raises ValueError for a request with more spans than MAX_SPANS, or a source of more bytes than MAX_SOURCE.
        """
        _require_within_limits(request)
        rejected: dict[str, int] = {}
        with self._lock:
            for source, span in _spans(request):
                reason = self._add(self._intern(source), span)
                if reason is not None:
                    rejected[reason] = rejected.get(reason, 0) + 1
        return rejected

    def get(self, trace_id: bytes) -> list[StoredSpan] | None:
        """Return the spans of a trace; None if it is not, or no longer, stored."""
        with self._lock:
            spans = self._traces.get(trace_id)
            return None if spans is None else list(spans.values())

    def newest(self) -> list[tuple[bytes, list[StoredSpan]]]:
        """Return all traces, the one with the latest arrival first."""
        with self._lock:
            return [(trace_id, list(spans.values())) for trace_id, spans in reversed(self._traces.items())]

    def services(self) -> list[str]:
        """Return the names of the services that have spans."""
        with self._lock:
            return sorted({span.source.service for spans in self._traces.values() for span in spans.values()})

    def _add(self, source: SpanSource, span: Span) -> str | None:
        """Store a span; returns why it is rejected, or None."""
        trace_id, span_id = span.trace_id, span.span_id
        if len(trace_id) != TRACE_ID or not any(trace_id):
            return f"a trace id must have {TRACE_ID} bytes that are not all zero"
        if len(span_id) != SPAN_ID or not any(span_id):
            return f"a span id must have {SPAN_ID} bytes that are not all zero"
        stored = StoredSpan(source, span.SerializeToString())
        spans = self._traces.get(trace_id, {})
        before = spans[span_id].size if span_id in spans else 0
        size = self._sizes.get(trace_id, TRACE_OVERHEAD) + stored.size - before
        if size > self.max_bytes // TRACE_SHARE:
            return f"a trace may have at most {self.max_bytes // TRACE_SHARE} bytes"
        spans[span_id] = stored
        self._total += size - self._sizes.get(trace_id, 0)
        self._sizes[trace_id] = size
        self._traces[trace_id] = spans
        self._traces.move_to_end(trace_id)
        while self._total > self.max_bytes:
            oldest, _ = self._traces.popitem(last=False)
            self._total -= self._sizes.pop(oldest)
            self.dropped += 1
        return None

    def _intern(self, source: SpanSource) -> SpanSource:
        """Return the equal source that earlier spans refer to, so that each is in memory once."""
        if len(self._sources) > MAX_SOURCES:
            self._sources.clear()
        return self._sources.setdefault(source, source)


def _require_within_limits(request: ExportTraceServiceRequest) -> None:
    """Two bytes of a request can be a message: its size alone bounds neither the memory nor the time that it takes."""
    senders = request.resource_spans
    if len(senders) > MAX_SPANS or sum(len(each.scope_spans) for each in senders) > MAX_SPANS:
        raise ValueError(f"a request may have at most {MAX_SPANS} resources and {MAX_SPANS} scopes")
    if sum(len(scoped.spans) for each in senders for scoped in each.scope_spans) > MAX_SPANS:
        raise ValueError(f"a request may have at most {MAX_SPANS} spans")
    for sender in senders:
        scope = max((each.scope.ByteSize() for each in sender.scope_spans), default=0)
        if sender.resource.ByteSize() + scope > MAX_SOURCE:
            raise ValueError(f"a resource and its scope may have at most {MAX_SOURCE} bytes together")


def _spans(request: ExportTraceServiceRequest) -> Iterable[tuple[SpanSource, Span]]:
    for sender in request.resource_spans:
        resource = sender.resource.SerializeToString()
        names = [each.value.string_value for each in sender.resource.attributes if each.key == "service.name"]
        service = names[0] if names and names[0] else "unknown_service"
        for scoped in sender.scope_spans:
            source = SpanSource(service, resource, scoped.scope.name, scoped.scope.version)
            for span in scoped.spans:
                yield source, span
