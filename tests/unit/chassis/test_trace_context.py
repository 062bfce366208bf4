"""A valid trace context of a request continues; an invalid one is replaced."""

import re

import pytest

from services.shared.chassis.http.trace_context import traceparent_of

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_without_a_header_there_is_no_trace() -> None:
    assert traceparent_of({}) is None


@pytest.mark.parametrize(
    "header",
    [
        f"00-{TRACE}-{PARENT}-01",
        f" 00-{TRACE}-{PARENT}-01 ",
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-will-be",
    ],
)
def test_a_valid_trace_continues(header: str) -> None:
    assert traceparent_of({"traceparent": header}) == f"00-{TRACE}-{PARENT}-01"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "rubbish",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01" + "0" * 1000,
        f"00-{TRACE[:-1]}\x00-{PARENT}-01",
    ],
)
def test_an_invalid_trace_is_replaced_by_a_new_one(header: str) -> None:
    found = traceparent_of({"traceparent": header})
    assert found is not None and re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", found)
    assert TRACE not in found
    assert found != traceparent_of({"traceparent": header})
