"""The trace store: what OpenTelemetry's own exporter sends is what Jaeger's API returns."""

import gzip
import tracemalloc
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.trace_exporter import Compression, OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, set_span_in_context

from warren.sinks.trace_store import TraceStore
from warren.sinks.traces import MAX_BODY, PROTOBUF, RejectedRequest, TraceSink

HEADERS = {"Content-Type": PROTOBUF}


@pytest.fixture
def sink() -> Iterator[TraceSink]:
    with TraceSink() as sink:
        yield sink


def request(trace: int, *spans: int, service: str = "shop", padding: int = 0) -> ExportTraceServiceRequest:
    found = [
        Span(
            trace_id=trace.to_bytes(16, "big"),
            span_id=span.to_bytes(8, "big"),
            name=f"s{span}",
            trace_state="x" * padding,
        )
        for span in spans
    ]
    made = ExportTraceServiceRequest()
    sender = made.resource_spans.add()
    sender.resource.attributes.add(key="service.name").value.string_value = service
    sender.scope_spans.add().spans.extend(found)
    return made


def post(sink: TraceSink, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(f"{sink.url}/v1/traces", content=body, headers=HEADERS | headers)


def traces(sink: TraceSink, path: str, **parameters: str) -> Any:
    response = httpx.get(f"{sink.url}/api/{path}", params=parameters)
    return response.json()["data"] if response.is_success else response.status_code


def tags(span: Any) -> dict[str, Any]:
    return {tag["key"]: (tag["type"], tag["value"]) for tag in span["tags"]}


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_spans_of_the_sdk_are_returned_as_jaeger_returns_them(sink: TraceSink, compression: Compression) -> None:
    exporter = OTLPSpanExporter(endpoint=f"{sink.url}/v1/traces", compression=compression)
    provider = TracerProvider(resource=Resource.create({"service.name": "payment", "service.version": "7"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("warren_messaging", "1.2")
    other = tracer.start_span("other", start_time=1_000)
    parent = tracer.start_span("publish x:y", kind=SpanKind.PRODUCER, start_time=5_000_000)
    child = tracer.start_span(
        "process x:y:q",
        set_span_in_context(parent),
        kind=SpanKind.CONSUMER,
        links=[Link(other.get_span_context())],
        attributes={"text": "é", "yes": True, "int": 3, "float": 0.5, "list": ["a", "b"]},
        start_time=7_000_900,
    )
    child.add_event("retried", {"attempt": 2}, timestamp=8_000_000)
    child.set_status(Status(StatusCode.ERROR, "no stock"))
    child.end(9_000_000)
    parent.end(8_000_000)
    provider.shutdown()

    [trace] = traces(sink, f"traces/{parent.get_span_context().trace_id:032x}")
    first, second = trace["spans"]
    assert [first["operationName"], second["operationName"]] == ["publish x:y", "process x:y:q"]
    assert (first["startTime"], first["duration"]) == (5_000, 3_000)
    assert (second["startTime"], second["duration"]) == (7_000, 1_999)
    assert first["references"] == []
    assert second["references"] == [
        {"refType": "CHILD_OF", "traceID": trace["traceID"], "spanID": first["spanID"]},
        {
            "refType": "FOLLOWS_FROM",
            "traceID": f"{other.get_span_context().trace_id:032x}",
            "spanID": f"{other.get_span_context().span_id:016x}",
        },
    ]
    assert tags(second) == {
        "text": ("string", "é"),
        "yes": ("bool", True),
        "int": ("int64", 3),
        "float": ("float64", 0.5),
        "list": ("string", '["a", "b"]'),
        "otel.scope.name": ("string", "warren_messaging"),
        "otel.scope.version": ("string", "1.2"),
        "span.kind": ("string", "consumer"),
        "otel.status_code": ("string", "ERROR"),
        "error": ("bool", True),
        "otel.status_description": ("string", "no stock"),
    }
    [log] = second["logs"]
    assert log["timestamp"] == 8_000
    assert [(field["key"], field["value"]) for field in log["fields"]] == [("event", "retried"), ("attempt", 2)]
    process = trace["processes"][first["processID"]]
    assert first["processID"] == second["processID"]
    assert process["serviceName"] == "payment"
    assert {"key": "service.version", "type": "string", "value": "7"} in process["tags"]
    assert traces(sink, "services") == ["payment"]


def test_traces_are_found_by_service_operation_and_tags(sink: TraceSink) -> None:
    for number in range(1, 4):
        made = request(number, 1, 2, service=f"s{number % 2}")
        tag = made.resource_spans[0].scope_spans[0].spans[1].attributes.add(key="order")
        tag.value.string_value = f"order-{number}"
        assert post(sink, made.SerializeToString()).status_code == 200

    def found(**parameters: str) -> list[int]:
        return [int(trace["traceID"], 16) for trace in traces(sink, "traces", **parameters)]

    assert found(service="s1") == [3, 1]
    assert found(service="s1", limit="1") == [3]
    assert found(service="s1", tags='{"order": "order-1"}') == [1]
    assert found(service="s0", tags='{"order": "order-1"}') == []
    assert found(service="s1", operation="s1", tags='{"order": "order-1"}') == []
    assert found(service="s1", start="1") == []
    assert traces(sink, "traces") == 400
    assert traces(sink, "traces", service="s1", tags="[]") == 400
    assert traces(sink, "traces", service="s1", limit="few") == 400


def test_an_unknown_trace_is_404_and_a_text_that_is_no_id_400(sink: TraceSink) -> None:
    post(sink, request(10, 1).SerializeToString())
    assert traces(sink, "traces/a")[0]["traceID"] == f"{10:032x}"  # Jaeger's clients leave zeros out
    assert traces(sink, "traces/b") == 404
    assert [traces(sink, f"traces/{text}") for text in ("", "xyz", "0" * 33, "a b")] == [400] * 4
    assert httpx.get(f"{sink.url}/").status_code == 404


@pytest.mark.parametrize(
    ("body", "headers", "status", "reason"),
    [
        (b"\x0a\xff", {}, 400, "not an ExportTraceServiceRequest"),
        (b"{}", {"Content-Type": "application/json"}, 415, "must be application/x-protobuf"),
        (b"\x1f\x8b", {"Content-Encoding": "gzip"}, 400, "ends too early"),
        (b"no gzip", {"Content-Encoding": "gzip"}, 400, "not gzip"),
        (b"", {"Content-Encoding": "br"}, 415, "'br' is not supported"),
        (gzip.compress(bytes(MAX_BODY + 1)), {"Content-Encoding": "gzip"}, 413, "when it is decompressed"),
    ],
)
def test_a_malformed_request_is_refused_with_a_reason_and_loses_nothing(
    sink: TraceSink, body: bytes, headers: dict[str, str], status: int, reason: str
) -> None:
    post(sink, request(1, 1).SerializeToString())
    response = post(sink, body, **headers)
    assert response.status_code == status
    assert reason in response.content.decode(errors="replace")
    assert len(traces(sink, "traces/1")[0]["spans"]) == 1


def test_a_body_that_is_too_long_is_refused_before_it_is_read(sink: TraceSink) -> None:
    connection = HTTPConnection(sink.host, sink.port, timeout=60)
    connection.request("POST", "/v1/traces", headers=HEADERS | {"Content-Length": str(MAX_BODY + 1)})
    assert connection.getresponse().status == 413
    connection.close()


def test_spans_without_valid_ids_are_rejected_and_the_others_of_the_request_stored(sink: TraceSink) -> None:
    made = request(1, 1, 0, 2)
    made.resource_spans[0].scope_spans[0].spans[2].trace_id = b"short"
    answer = ExportTraceServiceResponse.FromString(post(sink, made.SerializeToString()).content)
    assert answer.partial_success.rejected_spans == 2
    assert "trace id" in answer.partial_success.error_message
    assert "span id" in answer.partial_success.error_message
    assert [span["operationName"] for span in traces(sink, "traces/1")[0]["spans"]] == ["s1"]


def test_the_traces_without_recent_spans_are_dropped_first() -> None:
    store = TraceStore(max_bytes=8 * 4_000)
    for number in range(1, 21):
        store.add(request(number, 1, padding=2_000))
        store.add(request(1, 2))
    kept = [int.from_bytes(trace_id, "big") for trace_id, _ in store.newest()]
    assert kept[0] == 1
    assert kept[1:] == sorted(kept[1:], reverse=True)
    assert 0 < store.dropped == 20 - len(kept)
    for number in range(100, 200):
        store.add(request(number, 1, padding=2_000))
    assert store.get((1).to_bytes(16, "big")) is None


def test_a_trace_without_end_does_not_displace_the_others() -> None:
    store = TraceStore(max_bytes=80_000)
    store.add(request(1, 1))
    rejected = 0
    for span in range(1, 500):
        rejected += sum(store.add(request(2, span)).values())
    assert 0 < rejected < 499
    assert store.get((1).to_bytes(16, "big")) is not None
    assert store.add(request(3, 1)) == {}


def test_a_repeated_span_is_stored_once() -> None:
    store = TraceStore(max_bytes=20_000)
    for _ in range(1_000):
        assert store.add(request(1, 1)) == {}
    assert len(store.get((1).to_bytes(16, "big")) or ()) == 1


def test_the_bound_holds_for_the_memory_that_is_used() -> None:
    bound = 4 * 1024 * 1024
    store = TraceStore(bound)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1, 3_000):
            store.add(request(number, *range(1, 1 + number % 40), padding=number % 300))
        used = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert store.dropped > 0
    assert 0.6 * bound < used < 1.05 * bound


def test_what_a_span_shares_with_others_is_within_the_bound() -> None:
    store = TraceStore(max_bytes=80_000)
    for number in range(1, 100):
        store.add(request(number, 1, service="s" * 3_000 + str(number)))
    assert 10 < len(store.newest()) < 27


@pytest.mark.parametrize(
    ("inner", "fields", "reason"),
    [
        (b"\x0a\x00", [], "20000 resources and"),
        (b"\x12\x00", [0x0A], "20000 scopes"),
        (b"\x12\x00", [0x12, 0x0A], "20000 spans"),
        (b"\x0a\x00", [0x0A, 0x0A], "at most 65536 bytes"),
    ],
    ids=["resources", "scopes", "spans", "attributes"],
)
def test_a_small_request_with_many_messages_is_refused(
    sink: TraceSink, inner: bytes, fields: list[int], reason: str
) -> None:
    body = inner * 40_000
    for field in fields:
        body = bytes([field]) + _varint(len(body)) + body
    response = post(sink, gzip.compress(body), **{"Content-Encoding": "gzip"})
    assert (response.status_code, reason in response.content.decode(errors="replace")) == (413, True)


def test_a_length_that_is_no_number_is_refused(sink: TraceSink) -> None:
    connection = HTTPConnection(sink.host, sink.port, timeout=60)
    connection.request("POST", "/v1/traces", headers=HEADERS | {"Content-Length": "²"})
    assert connection.getresponse().status == 413
    connection.close()


def _varint(number: int) -> bytes:
    low, high = number & 127, number >> 7
    return bytes([low | 128]) + _varint(high) if high else bytes([low])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_reason(body: bytes) -> None:
    sink = TraceSink(max_bytes=10_000)
    for encoding in ("", "gzip"):
        try:
            ExportTraceServiceResponse.FromString(sink.receive(body, PROTOBUF, encoding))
        except RejectedRequest as error:
            assert str(error)
