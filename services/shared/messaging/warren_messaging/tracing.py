"""Trace contexts in the W3C form `00-<trace id>-<span id>-<flags>`, as events and headers carry them."""

import re

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?![^-])")


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the 32 hexadecimal digits that identify the trace; None if there is no context or it is malformed."""
    return traceparent[3:35] if traceparent is not None and _TRACEPARENT.match(traceparent) else None


def is_sampled(traceparent: str | None) -> bool:
    """Whether the spans of this context are recorded: only then can the trace be looked up by its id."""
    return trace_id_of(traceparent) is not None and int(traceparent[53:55], 16) & 1 == 1  # type: ignore[index]
