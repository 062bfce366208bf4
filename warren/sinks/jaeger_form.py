"""Stored spans in Jaeger's JSON form, translated as the OpenTelemetry specification says."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from warren.jaeger import JaegerLog, JaegerProcess, JaegerReference, JaegerSpan, JaegerTag, JaegerTrace
from warren.sinks.trace_store import SpanSource, StoredSpan

NANOSECONDS = 1000
"""In a microsecond."""
KINDS = {
    Span.SPAN_KIND_SERVER: "server",
    Span.SPAN_KIND_CLIENT: "client",
    Span.SPAN_KIND_PRODUCER: "producer",
    Span.SPAN_KIND_CONSUMER: "consumer",
}
STATUS = {Status.STATUS_CODE_OK: "OK", Status.STATUS_CODE_ERROR: "ERROR"}


def jaeger_trace(trace_id: bytes, stored: Iterable[StoredSpan]) -> JaegerTrace:
    """Return a trace with its spans by start time. A process with several scopes is one process."""
    ids: dict[tuple[str, bytes], str] = {}
    spans = []
    for each in stored:
        process = ids.setdefault((each.source.service, each.source.resource), f"p{len(ids) + 1}")
        spans.append(jaeger_span(each, process))
    spans.sort(key=lambda span: (span.start_time, span.span_id))
    processes = {
        name: JaegerProcess(service, _tags(_without_name(Resource.FromString(resource).attributes)))
        for (service, resource), name in ids.items()
    }
    return JaegerTrace(trace_id=trace_id.hex(), spans=spans, processes=processes)


def jaeger_span(stored: StoredSpan, process: str = "p1") -> JaegerSpan:
    """Return a stored span of the process `process`, a key of `JaegerTrace.processes`."""
    span = Span.FromString(stored.encoded)
    references = []
    if span.parent_span_id:
        references.append(JaegerReference("CHILD_OF", span.trace_id.hex(), span.parent_span_id.hex()))
    references += [JaegerReference("FOLLOWS_FROM", link.trace_id.hex(), link.span_id.hex()) for link in span.links]
    return JaegerSpan(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        operation_name=span.name,
        references=references,
        start_time=span.start_time_unix_nano // NANOSECONDS,
        duration=max(span.end_time_unix_nano - span.start_time_unix_nano, 0) // NANOSECONDS,
        tags=_tags(span.attributes) + _more_tags(stored.source, span),
        logs=[
            JaegerLog(event.time_unix_nano // NANOSECONDS, [_tag("event", event.name), *_tags(event.attributes)])
            for event in span.events
        ],
        process_id=process,
    )


def _more_tags(source: SpanSource, span: Span) -> list[JaegerTag]:
    """Return the fields of a span that Jaeger has only as tags: scope, kind and status."""
    found: dict[str, object] = {}
    if source.scope:
        found["otel.scope.name"] = source.scope
    if source.scope_version:
        found["otel.scope.version"] = source.scope_version
    if span.kind in KINDS:
        found["span.kind"] = KINDS[span.kind]
    if span.status.code in STATUS:
        found["otel.status_code"] = STATUS[span.status.code]
    if span.status.code == Status.STATUS_CODE_ERROR:
        found["error"] = True
    if span.status.message:
        found["otel.status_description"] = span.status.message
    return [_tag(key, value) for key, value in found.items()]


def _without_name(attributes: Iterable[KeyValue]) -> list[KeyValue]:
    return [each for each in attributes if each.key != "service.name"]


def _tags(attributes: Iterable[KeyValue]) -> list[JaegerTag]:
    return [_tag(each.key, _value(each.value)) for each in attributes]


def _tag(key: str, value: Any) -> JaegerTag:
    match value:
        case bool():
            return JaegerTag(key, "bool", value)
        case int():
            return JaegerTag(key, "int64", value)
        case float():
            return JaegerTag(key, "float64", value)
        case bytes():
            return JaegerTag(key, "binary", base64.b64encode(value).decode())
        case str():
            return JaegerTag(key, "string", value)
        case _:
            return JaegerTag(key, "string", json.dumps(value, default=_text))


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _value(value: AnyValue) -> Any:
    match value.WhichOneof("value"):
        case None:
            return ""
        case "array_value":
            return [_value(each) for each in value.array_value.values]
        case "kvlist_value":
            return {each.key: _value(each.value) for each in value.kvlist_value.values}
        case kind:
            return getattr(value, kind)
