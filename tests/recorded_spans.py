"""Records the spans of this process, with OpenTelemetry's SDK and an exporter in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from warren_messaging.tracing import format_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
UNSAMPLED = f"00-{TRACE}-b7ad6b7169203331-00"

# One provider for the whole test run: a tracer keeps the first one that it finds.
_exporter = InMemorySpanExporter()
_provider = TracerProvider(shutdown_on_exit=False)
_provider.add_span_processor(SimpleSpanProcessor(_exporter))


class RecordedSpans:
    """The spans that have ended."""

    def all(self, name: str = "") -> list[ReadableSpan]:
        """Return the spans whose names begin with `name`, by their start."""
        found = [span for span in _exporter.get_finished_spans() if span.name.startswith(name)]
        return sorted(found, key=lambda span: span.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.all(name)
        return span


@contextmanager
def recorded_spans() -> Iterator[RecordedSpans]:
    """Record spans in a block; outside of it this process has no tracer provider."""
    _exporter.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "_TRACER_PROVIDER", _provider)
        yield RecordedSpans()


def context_of(span: ReadableSpan) -> str:
    context: SpanContext = span.get_span_context()
    return format_traceparent(context)


def parent_of(span: ReadableSpan) -> str | None:
    """Return the context of the parent, None for the first span of a trace."""
    return None if span.parent is None else format_traceparent(span.parent)


def links_of(span: ReadableSpan) -> list[str]:
    return [format_traceparent(link.context) for link in span.links]
