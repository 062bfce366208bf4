"""The clocks of database and process."""

import pytest

from warren_messaging.command.database_checks import judge_clock


@pytest.mark.parametrize(
    ("ahead", "state", "text"),
    [
        (0.2, "ok", "0.2 s ahead"),
        (-4.9, "ok", "4.9 s behind"),
        (5.2, "failed", "ahead"),
        (-90, "failed", "90.0 s behind"),
    ],
)
def test_a_difference_of_more_than_five_seconds_fails(ahead: float, state: str, text: str) -> None:
    result = judge_clock(ahead)
    assert result.state == state
    assert text in result.detail
