"""Traces of one process of the shop. The settings are OpenTelemetry's own variables (docs/observability.md).

Without an endpoint no SDK is imported, and the calls of this module and of the messaging library do nothing.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

from opentelemetry import trace
from opentelemetry.trace import Link

from warren_messaging.tracing import current_traceparent, enabled, format_traceparent, is_sampled, parse

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
ORDER_ID = "warren.order.id"

tracer = trace.get_tracer("warren")


@contextmanager
def exported(process: str, environ: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Export the spans of a block, if the environment has an endpoint. `process` is the name of the service.

    An endpoint that does not answer delays nothing: spans wait in memory, at most OTEL_BSP_MAX_QUEUE_SIZE, and are
    dropped after that. Raises ConfigurationError for a setting that cannot work.
    """
    if not any(environ.get(name) for name in ENDPOINTS) or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield
        return
    from services.shared.chassis.otlp import SpanExport  # noqa: PLC0415 - the SDK takes 10 MB

    export = SpanExport(process, environ)
    try:
        yield
    finally:
        export.close()


def set_order(order_id: UUID) -> None:
    """Give the current span the order's id."""
    trace.get_current_span().set_attribute(ORDER_ID, str(order_id))


def order_context(operation: str, order_id: UUID, stored: str | None, request: str | None) -> str | None:
    """Return the context of the events that a request about a stored order causes.

    They continue the trace of the order (`stored`), which then has a span `operation` that is linked to the request,
    and the request to it. If the trace of the order is not recorded, they continue the trace of the request.
    """
    parent = parse(stored)
    if parent is None or not enabled() or not is_sampled(stored):
        return request or current_traceparent() or stored
    caller = trace.get_current_span()
    links = [Link(caller.get_span_context())] if caller.get_span_context().is_valid else []
    context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
    span = tracer.start_span(operation, context, attributes={ORDER_ID: str(order_id)}, links=links)
    span.end()
    caller.add_link(span.get_span_context())
    return format_traceparent(span.get_span_context())
