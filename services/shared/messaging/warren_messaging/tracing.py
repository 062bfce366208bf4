"""Spans of publishing and processing, after OpenTelemetry's semantic conventions 1.44 for messaging.

The library uses the API of OpenTelemetry: it records spans when the process has set a tracer provider, of any SDK, and
otherwise does nothing but pass on the trace context of each event.

A context is a text of the W3C form `00-<trace id>-<span id>-<flags>`. The body of an event has the context in which it
was announced. The header `traceparent` has that of the publish, so a consumer's span is a child of the publish. The
vendor-specific `tracestate` is not passed on.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context as Variables
from contextvars import copy_context
from functools import cache, lru_cache

from opentelemetry import trace
from opentelemetry.context import Context, attach
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, TraceFlags

from warren_messaging.errors import MessagingError

SCHEMA_URL = "https://opentelemetry.io/schemas/1.44.0"

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?"
)
_UNSAMPLED = ("-00", "-02")  # the second has the flag "random trace id"

_logger = logging.getLogger("warren_messaging")
_tracer = trace.get_tracer("warren_messaging", schema_url=SCHEMA_URL)


# Contexts


def parse(traceparent: str | None) -> SpanContext | None:
    """Return the context of a text; None if there is none or it is malformed. A later version is read as version 00."""
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if found is None or (found["version"] == "00" and found["rest"]):
        return None
    flags = TraceFlags(int(found["flags"], 16))
    return SpanContext(int(found["trace"], 16), int(found["span"], 16), is_remote=True, trace_flags=flags)


def format_traceparent(context: SpanContext) -> str:
    """Return the text of a valid context; see `parse`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the 32 hexadecimal digits that identify the trace; None if there is no context or it is malformed."""
    context = parse(traceparent)
    return None if context is None else f"{context.trace_id:032x}"


def is_sampled(traceparent: str | None) -> bool:
    """Whether the spans of this context are recorded: only then can the trace be looked up by its id."""
    context = parse(traceparent)
    return context is not None and context.trace_flags.sampled


def is_unsampled(traceparent: str | None) -> bool:
    """Whether the context says that no span is recorded. Cheap: called for each message."""
    return traceparent is not None and traceparent.endswith(_UNSAMPLED)


def current_traceparent() -> str | None:
    """Return the context of the current span, None if there is no span."""
    context = trace.get_current_span().get_span_context()
    return format_traceparent(context) if context.is_valid else None


def without_span() -> Variables:
    """Return a copy of the context variables without a current span, for a task that outlives its starter."""
    variables = copy_context()
    if trace.get_current_span() is not trace.INVALID_SPAN:
        variables.run(attach, trace.set_span_in_context(trace.INVALID_SPAN))
    return variables


# Spans


def enabled() -> bool:
    """Whether the process has a tracer provider."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider | trace.NoOpTracerProvider)


def as_current(span: Span | None) -> AbstractContextManager[object]:
    """Make a span the current one for a block."""
    if span is None:
        return nullcontext()
    return trace.use_span(span, record_exception=False, set_status_on_exception=False)


def within(span: Span | None, traceparent: str | None) -> AbstractContextManager[object]:
    """Like `as_current`; without a span, spans that the block starts are not recorded if `traceparent` is not."""
    if span is None and is_unsampled(traceparent) and (context := parse(traceparent)) is not None:
        span = trace.NonRecordingSpan(context)
    return as_current(span)


def start_span(
    operation: str,
    operation_type: str,
    kind: SpanKind,
    destination: tuple[str, str, str],
    parent: SpanContext | None,
    attributes: Mapping[str, str | int | None],
    links: Sequence[Link] = (),
) -> Span:
    """Start a span of a messaging operation. `destination` is exchange, routing key and queue; each may be empty.

    If the SDK raises, that is logged once and the operation goes on without a span.
    """
    name, fixed = _name_and_attributes(operation, operation_type, *destination)
    given = {**fixed, **{key: value for key, value in attributes.items() if value is not None}}
    try:
        return _tracer.start_span(name, _remote(parent), kind, given, links)
    except Exception:  # noqa: BLE001 - a sampler or a processor of any SDK
        _log_failure("start")
        return trace.INVALID_SPAN


def end(span: Span) -> None:
    """End a span; see `start_span` for an SDK that raises."""
    try:
        span.end()
    except Exception:  # noqa: BLE001
        _log_failure("end")


@cache
def _log_failure(step: str) -> None:
    _logger.exception("the tracer provider failed at the %s of a span; this is logged once", step)


def fail(span: Span | None, error: BaseException | str, text: str | None = None) -> None:
    """Mark a span as failed, with the class of the error or a word for it.

    The description is `text`, else that of an error of this package: others may quote private values.
    """
    if span is not None and span.is_recording():
        span.set_attribute("error.type", error if isinstance(error, str) else class_name(error))
        span.set_status(StatusCode.ERROR, text or (str(error) if isinstance(error, MessagingError) else None))


def class_name(error: BaseException) -> str:
    """Return the value of `error.type` for an error: its class, with the module unless it is a built-in one."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def destination_of(exchange: str, routing_key: str, queue: str = "") -> str:
    """Return `{exchange}:{routing key}:{queue}` without empty parts, and without a queue that equals the key."""
    parts = [exchange, routing_key, "" if queue == routing_key else queue]
    return ":".join(part for part in parts if part) or "amq.default"


def _remote(parent: SpanContext | None) -> Context:
    return Context() if parent is None else trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())


@lru_cache(maxsize=1024)
def _name_and_attributes(
    operation: str, operation_type: str, exchange: str, routing_key: str, queue: str
) -> tuple[str, Mapping[str, str]]:
    destination = destination_of(exchange, routing_key, queue)
    attributes = {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation_type,
        "messaging.destination.name": destination,
    }
    if routing_key:
        attributes["messaging.rabbitmq.destination.routing_key"] = routing_key
    return f"{operation} {destination}", attributes
