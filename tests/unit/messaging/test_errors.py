"""Texts of errors."""

import pytest
from aiormq.exceptions import AMQPConnectionError

from warren_messaging.errors import reason_of


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "Connect call failed"),
        (AMQPConnectionError(-2, "Name or service not known"), "Name or service not known"),
        (FileNotFoundError(2, "No such file", "ca.pem"), "No such file"),
        (TimeoutError(), "TimeoutError"),
        (AMQPConnectionError(""), "AMQPConnectionError"),
    ],
)
def test_a_reason_is_the_text_or_the_class(error: BaseException, text: str) -> None:
    assert reason_of(error) == text
