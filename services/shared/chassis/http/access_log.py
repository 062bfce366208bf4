"""One log line for each request that was answered."""

import logging
import re
import time
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from warren_messaging.tracing import current_traceparent, trace_id_of

_REQUESTS = frozenset({"http"})
_ORDER = re.compile(r"/orders/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?![^/])")


class AccessLog:
    """ASGI application around another one. Every line that is written within a request has the request's trace id.

    It logs method, pattern of the route, status, duration, order id and trace id. It does not log path, query, headers
    and body: clients choose them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    @cached_property
    def _log(self) -> Any:
        """Bound at the first request, after logging is configured."""
        return structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in _REQUESTS:  # the server's lifespan
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        trace_id = trace_id_of(current_traceparent() or _header(headers, b"traceparent"))
        if not self._log.is_enabled_for(logging.INFO):
            with structlog.contextvars.bound_contextvars(trace_id=trace_id):
                await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, location = 0, ""

        async def send_and_log(message: Message) -> None:
            nonlocal status, location
            if message["type"] == "http.response.start":
                status, location = message["status"], _header(message["headers"], b"location") or ""
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self._log.info("request answered", **request_fields(scope, location), status=status, ms=_ms(began))

        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            await self._app(scope, receive, send_and_log)


def request_fields(scope: Any, location: str = "") -> dict[str, str | None]:
    """Return the log fields of a request. Its order is the one in `location`, the response's header, or in its path."""
    order = _ORDER.search(location or scope["path"])
    return {
        "method": scope["method"],
        "route": scope.get("path_template") or None,
        "subject": order[1] if order else None,
    }


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((value.decode("latin-1").strip() for key, value in headers if key.lower() == name), None)


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 1)
