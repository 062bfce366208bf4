"""The spans of HTTP requests, after OpenTelemetry's conventions for HTTP servers.

OpenTelemetry's own ASGI instrumentation is not used: it knows no routes of Litestar, and a request whose trace is not
recorded takes several times as long in it (decision 0049).
"""

import time
from collections.abc import Callable
from typing import cast

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from services.shared.chassis.tracing import tracer
from warren_messaging.tracing import class_name, parse

_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"}


CALLERS_PER_SECOND = 10
"""Requests per second that are recorded because their caller asks for it; also the size of a burst."""


class RequestSpans:
    """Runs an application with a span for each request, in the trace of its header `traceparent`.

    A caller can have its requests recorded, at most CALLERS_PER_SECOND of all callers: what callers ask for must not
    displace the spans of others, nor cost more than the sampler allows. A request beyond that begins a trace that is
    linked to its caller's, and the sampler decides.

    The query is left out: it can name a customer.
    """

    def __init__(self, application: ASGIApp, clock: Callable[[], float] = time.monotonic) -> None:
        self._application = application
        self._clock = clock
        self._left, self._at = float(CALLERS_PER_SECOND), clock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # type: ignore[comparison-overlap]  # an enum in the type only
            await self._application(scope, receive, send)
            return
        request = cast(HTTPScope, scope)
        span = self._start(request)
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                await self._application(scope, receive, _recording(send, span) if span.is_recording() else send)
        except BaseException as error:
            span.set_attribute("error.type", class_name(error))
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            if span.is_recording() and (route := scope.get("path_template")):
                span.update_name(f"{_name(request['method'])} {route}")
                span.set_attribute("http.route", str(route))
            span.end()

    def _start(self, scope: HTTPScope) -> Span:
        header = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
        parent = None if header is None else parse(header.decode("latin-1").strip())
        links = []
        if parent is not None and parent.trace_flags.sampled and not self._caller_may_decide():
            links, parent = [Link(parent)], None
        context = Context() if parent is None else trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
        method = scope["method"]
        attributes = {
            "http.request.method": method if method in _METHODS else "_OTHER",
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
            "network.protocol.version": scope["http_version"],
        }
        if method not in _METHODS:
            attributes["http.request.method_original"] = method
        return tracer.start_span(_name(method), context, SpanKind.SERVER, attributes, links)

    def _caller_may_decide(self) -> bool:
        now = self._clock()
        self._left = min(self._left + (now - self._at) * CALLERS_PER_SECOND, CALLERS_PER_SECOND)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _name(method: str) -> str:
    return method if method in _METHODS else "HTTP"


def _recording(send: Send, span: Span) -> Send:
    async def send_and_record(message: Message) -> None:
        if message["type"] == "http.response.start":
            status = message["status"]
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(StatusCode.ERROR)
        await send(message)

    return send_and_record
