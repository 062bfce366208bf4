"""The encoder of spans writes the same message as the one of OpenTelemetry's exporter."""

import random
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as encode_with_classes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags, TraceState

from services.shared.chassis.span_encoder import encode_spans

SEED = random.randrange(2**32)
LIMITS = SpanLimits(max_span_attributes=8, max_events=2, max_links=3, max_attribute_length=300)
VALUES: list[Any] = [
    True, 1, 1.0, "1", "", "é中\n\"", "x" * 127, "y" * 128, "z" * 500, -1, 2**62, 0.5, b"\x00\xff",
    ["a", "b"], [1, 2], [True], [], 0, False,
]  # fmt: skip


def recorded(name: str, rng: random.Random, exporter: InMemorySpanExporter) -> None:
    resource = Resource.create(
        {"service.name": name, "service.instance.id": name}, schema_url="https://schema.example/1"
    )
    provider = TracerProvider(resource=resource, span_limits=LIMITS)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracers = [provider.get_tracer("a"), provider.get_tracer("b", "1.0", "https://schema.example/2", {"k": 1})]

    def attributes() -> dict[str, Any]:
        return {f"k{rng.randint(0, 30)}": rng.choice(VALUES) for _ in range(rng.randint(0, 12))}

    def context(*, remote: bool) -> SpanContext:
        state = TraceState([("vendor", "x"), ("other", "y")]) if rng.random() < 0.3 else None
        return SpanContext(rng.getrandbits(128) | 1, rng.getrandbits(64) | 1, remote, TraceFlags(1), state)

    for _ in range(60):
        parent = None
        if rng.random() < 0.7:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(context(remote=rng.random() < 0.5)))
        links = [Link(context(remote=rng.random() < 0.5), attributes()) for _ in range(rng.randint(0, 5))]
        kind = rng.choice(list(SpanKind))
        span = rng.choice(tracers).start_span(rng.choice(["", "né", "n" * 200]), parent, kind, attributes(), links)
        for _ in range(rng.randint(0, 4)):
            span.add_event("event", attributes())
        if rng.random() < 0.5:
            span.set_status(rng.choice([StatusCode.OK, StatusCode.ERROR]), rng.choice([None, "why"]))
        span.end()


@pytest.fixture
def spans() -> list[ReadableSpan]:
    rng, exporter = random.Random(SEED), InMemorySpanExporter()
    recorded("order-api", rng, exporter)
    recorded("inventory", rng, exporter)
    return list(exporter.get_finished_spans())


def test_the_message_equals_that_of_the_classes(spans: list[ReadableSpan]) -> None:
    for each in spans:
        expected, found = encode_with_classes([each]), ExportTraceServiceRequest.FromString(encode_spans([each]))
        assert found == expected, f"seed {SEED}"
    assert ExportTraceServiceRequest.FromString(encode_spans(spans)) == encode_with_classes(spans)


def test_equal_values_of_different_types_are_not_confused() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for value in (1, True, 1.0, "1", 0, False, 0.0):
        provider.get_tracer("t").start_span("s", attributes={"k": value}).end()
    spans = list(exporter.get_finished_spans())
    assert ExportTraceServiceRequest.FromString(encode_spans(spans)) == encode_with_classes(spans)


def test_no_spans_are_an_empty_message() -> None:
    assert encode_spans([]) == b""
