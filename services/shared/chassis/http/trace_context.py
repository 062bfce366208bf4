"""The W3C trace context of a request (https://www.w3.org/TR/trace-context/), which the resulting events carry on."""

import secrets
from collections.abc import Mapping

from warren_messaging.events import TRACE_HEADER
from warren_messaging.tracing import current_traceparent, format_traceparent, parse


def traceparent_of(headers: Mapping[str, str]) -> str | None:
    """Return the context of the request's span. If this process records no spans: the caller's context, a new one if
    its header is not valid, or None without a header."""
    if current := current_traceparent():
        return current
    text = headers.get(TRACE_HEADER)
    if text is None:
        return None
    # A later version is read as version 00, and only the fields of version 00 are passed on.
    context = parse(text.strip())
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00" if context is None else format_traceparent(context)
