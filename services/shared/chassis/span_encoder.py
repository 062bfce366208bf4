"""Encodes spans as OTLP requests, in less than half of the time of the exporter's own encoder.

Source: opentelemetry-proto, `collector/trace/v1/trace_service.proto` and `trace/v1/trace.proto`; a tag is the number of
a field and its wire type. The exporter's encoder makes a protobuf object for each attribute, which costs more than all
else about a span. Here each attribute becomes bytes at once, and a pair of key and value that many spans share is kept.
Resources, scopes, events and values other than texts are rare or few, and use the protobuf classes.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceMessage
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope as Scope
from opentelemetry.trace import INVALID_SPAN_CONTEXT, Link, SpanContext

_TIMES = Struct("<BQBQ")
_HAS_IS_REMOTE, _IS_REMOTE = 0x100, 0x200
_VALUE_FIELDS: tuple[tuple[type, str], ...] = (
    (bool, "bool_value"),
    (str, "string_value"),
    (int, "int_value"),
    (float, "double_value"),
    (bytes, "bytes_value"),
)
"""In this order: a bool is an int, too."""


def encode_spans(spans: Iterable[ReadableSpan]) -> bytes:
    """Return an ExportTraceServiceRequest with all spans, by resource and scope."""
    grouped: dict[Resource, dict[Scope | None, list[bytes]]] = defaultdict(lambda: defaultdict(list))
    for span in spans:
        grouped[span.resource][span.instrumentation_scope].append(_field(b"\x12", _span(span)))
    return b"".join(
        _field(
            b"\x0a",
            _field(b"\x0a", ResourceMessage(attributes=_messages(resource.attributes)).SerializeToString())
            + b"".join(_field(b"\x12", _scope(scope) + b"".join(encoded)) for scope, encoded in scopes.items())
            + _text(b"\x1a", resource.schema_url),
        )
        for resource, scopes in grouped.items()
    )


def _scope(scope: Scope | None) -> bytes:
    """Return the fields of a ScopeSpans but its spans."""
    if scope is None:
        return _field(b"\x0a", b"")
    message = InstrumentationScope(name=scope.name, version=scope.version or "", attributes=_messages(scope.attributes))
    return _field(b"\x0a", message.SerializeToString()) + _text(b"\x1a", scope.schema_url)


def _span(span: ReadableSpan) -> bytes:
    context, parent = span.get_span_context() or INVALID_SPAN_CONTEXT, span.parent
    parts = [
        _ids(context),
        _text(b"\x1a", _trace_state(context)),
        b"" if parent is None else b"\x22\x08" + parent.span_id.to_bytes(8),
        _text(b"\x2a", span.name),
        b"\x30", (span.kind.value + 1).to_bytes(),
        _TIMES.pack(0x39, span.start_time or 0, 0x41, span.end_time or 0),
        _attributes(b"\x4a", span.attributes),
        _count(b"\x50", span.dropped_attributes),
        *(_field(b"\x5a", _event(event)) for event in span.events),
        _count(b"\x60", span.dropped_events),
        *(_field(b"\x6a", _link(link)) for link in span.links),
        _count(b"\x70", span.dropped_links),
        _field(b"\x7a", _text(b"\x12", span.status.description) + _count(b"\x18", span.status.status_code.value)),
        b"\x85\x01", _flags(parent),
    ]  # fmt: skip
    return b"".join(parts)


def _link(link: Link) -> bytes:
    return b"".join((
        _ids(link.context),
        _attributes(b"\x22", link.attributes),
        _count(b"\x28", link.dropped_attributes),
        b"\x35", _flags(link.context),
    ))  # fmt: skip


def _event(event: Event) -> bytes:
    message = SpanMessage.Event(
        name=event.name,
        time_unix_nano=event.timestamp,
        attributes=_messages(event.attributes),
        dropped_attributes_count=event.dropped_attributes,
    )
    return bytes(message.SerializeToString())


def _ids(context: SpanContext) -> bytes:
    return b"\x0a\x10" + context.trace_id.to_bytes(16) + b"\x12\x08" + context.span_id.to_bytes(8)


def _trace_state(context: SpanContext) -> str:
    return ",".join(f"{key}={value}" for key, value in context.trace_state.items()) if context.trace_state else ""


def _flags(context: SpanContext | None) -> bytes:
    remote = context is not None and context.is_remote
    return (_HAS_IS_REMOTE | (_IS_REMOTE if remote else 0)).to_bytes(4, "little")


def _attributes(tag: bytes, attributes: Mapping[str, Any] | None) -> bytes:
    if not attributes:
        return b""
    return b"".join([_attribute(tag, key, value.__class__, value) for key, value in attributes.items()])


@lru_cache(maxsize=2048)
def _attribute(tag: bytes, key: str, _: Hashable, value: Any) -> bytes:
    """Return a KeyValue. The type is a part of the cache's key, since 1 == 1.0 == True."""
    if isinstance(value, str):
        return _field(tag, _text(b"\x0a", key) + _field(b"\x12", _field(b"\x0a", value.encode())))
    return _field(tag, KeyValue(key=key, value=_any_value(value)).SerializeToString())


def _messages(attributes: Mapping[str, Any] | None) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in (attributes or {}).items()]


def _any_value(value: Any) -> AnyValue:
    for kind, field in _VALUE_FIELDS:
        if isinstance(value, kind):
            fields: Any = {field: value}
            return AnyValue(**fields)
    if isinstance(value, Sequence):
        return AnyValue(array_value=ArrayValue(values=[_any_value(each) for each in value]))
    return AnyValue()


# Parts of the wire format


def _field(tag: bytes, data: bytes) -> bytes:
    size = len(data)
    return tag + (size.to_bytes() if size < 128 else _varint(size)) + data


def _text(tag: bytes, text: str | None) -> bytes:
    return _field(tag, text.encode()) if text else b""


def _count(tag: bytes, number: int) -> bytes:
    return tag + _varint(number) if number else b""


def _varint(number: int) -> bytes:
    """Seven bits in each byte, the lowest first; the highest bit says that another one follows."""
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
