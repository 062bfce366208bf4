"""Trace contexts that arrive from anywhere."""

import pytest
from opentelemetry import trace as opentelemetry_trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from services.shared.contracts.orders import OrderConfirmed
from warren_messaging import tracing
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.amqp.spans import PublishSpans
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.consumer.spans import BatchSpans
from warren_messaging.testing import delivery_of, event_of
from warren_messaging.tracing import is_sampled, trace_id_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("traceparent", "trace", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE, True),
        (f"00-{TRACE}-{SPAN}-03", TRACE, True),
        (f"00-{TRACE}-{SPAN}-00", TRACE, False),
        (f"00-{TRACE}-{SPAN}-02", TRACE, False),
        (f"01-{TRACE}-{SPAN}-01-later", TRACE, True),
        (f"ff-{TRACE}-{SPAN}-01", None, False),
        (f"00-{TRACE}-{SPAN}-010", None, False),
        (f"00-{TRACE.upper()}-{SPAN}-01", None, False),
        (f"00-{'0' * 32}-{SPAN}-01", None, False),
        (f"00-{TRACE}-{'0' * 16}-01", None, False),
        ("00-a-b-01", None, False),
        ("", None, False),
        (None, None, False),
    ],
)
def test_a_trace_id_is_read_from_a_valid_context_only(
    traceparent: str | None, trace: str | None, sampled: bool
) -> None:
    assert trace_id_of(traceparent) == trace
    assert is_sampled(traceparent) is sampled


class FailingProcessor(SpanProcessor):
    def __init__(self, step: str) -> None:
        self._step = step

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._step == "start":
            raise RuntimeError("broken")

    def on_end(self, span: ReadableSpan) -> None:
        if self._step == "end":
            raise RuntimeError("broken")


@pytest.mark.parametrize("step", ["start", "end"])
def test_an_sdk_that_raises_stops_neither_a_publish_nor_a_delivery(
    step: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(FailingProcessor(step))
    monkeypatch.setattr(opentelemetry_trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    tracing._log_failure.cache_clear()
    parent = f"00-{TRACE}-{SPAN}-01"
    event = event_of(OrderConfirmed(customer="ada"), traceparent=parent)
    try:
        for _ in range(2):
            with PublishSpans() as publish:
                header = publish.start("orders", "order.confirmed", parent, "1", "2")
                publish.end([PublishResult.CONFIRMED])
            assert trace_id_of(header) == TRACE
            with BatchSpans(2) as batch:
                for _ in range(2):
                    BatchSpans.end(batch.start(delivery_of(event), event), Verdict.RETRY)
    except RuntimeError:
        pytest.fail("the error reached the work")
    assert [record.getMessage() for record in caplog.records] == [
        f"the tracer provider failed at the {step} of a span; this is logged once"
    ]
