"""Trace contexts that arrive from anywhere."""

import pytest

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
