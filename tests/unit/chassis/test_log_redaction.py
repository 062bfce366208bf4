"""Private values in texts of errors are hidden; everything else stays readable."""

import asyncpg
import pytest

from services.shared.chassis.log_redaction import hide_private_values, redacted_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("550 <ada.l+x@mail.example.com>: unknown", "550 <***>: unknown"),
        ("to=ada@example.com.", "to=***."),
        ("no answer from +49 (170) 123-45.67", "no answer from ***"),
        ("+491701234567: refused", "***: refused"),
        ("token 'tok_4242-x_Y' declined", "token '***' declined"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln", "sent ***"),
        ('{"password": "hunter2"}', '{"password": "***"}'),
        ("amqps://guest:hunter2@broker:5671/orders", "amqps://guest:***@broker:5671/orders"),
        ("failed\nDETAIL:  Failing row contains (1, Ada).\nHINT: x", "failed\nDETAIL:***\nHINT: x"),
        ("invalid input for query argument $3: 'Ada' (expected int)", "invalid input for query argument $3:***"),
        ('invalid input syntax for type uuid: "Ada"', "invalid input syntax for type uuid:***"),
    ],
)
def test_private_values_are_hidden(text: str, shown: str) -> None:
    assert redacted_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "database at postgresql://order@127.0.0.1:5432/warren is unavailable: [Errno 111] Connect call failed",
        "broker at amqps://127.0.0.1:5671/orders does not answer",
        "cannot read the broker password from /run/warren/password: No such file",
        "role 'order', check the role and its password",
        "2026-11-28T13:00:00+01:00, 5 items, +5 %",
        "rabbit@node-1 left",
        "event type 'order.lost' is not known here",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redacted_text(text) == text


def test_the_row_that_postgresql_quotes_is_hidden_in_a_stack_trace() -> None:
    error = asyncpg.CheckViolationError("new row violates a constraint")
    error.detail = "Failing row contains (ada)."
    shown = hide_private_values(None, "", {"event": "request failed", "exception": f"Traceback:\n{error}", "ms": 3})
    assert shown == {
        "event": "request failed",
        "exception": "Traceback:\nnew row violates a constraint\nDETAIL:***",
        "ms": 3,
    }
