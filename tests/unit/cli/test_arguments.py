"""Points in time on the command line."""

from datetime import UTC, datetime, timedelta

import pytest

from warren.cli.arguments import parse_time
from warren.errors import ClientError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "before"),
    [("90s", timedelta(seconds=90)), ("10m", timedelta(minutes=10)), ("2h", timedelta(hours=2)), ("7d", timedelta(7))],
)
def test_a_span_is_subtracted_from_now(text: str, before: timedelta) -> None:
    assert parse_time(text, NOW) == NOW - before


def test_a_time_without_a_zone_is_local() -> None:
    assert parse_time("2026-11-22T13:00+01:00") == NOW
    assert parse_time("2026-11-22T12:00") == datetime(2026, 11, 22, 12).astimezone(UTC)
    assert parse_time(None) is None


@pytest.mark.parametrize("text", ["", "yesterday", "5", "-5m", "5w", "2026-13-01"])
def test_another_form_is_refused_with_the_accepted_forms(text: str) -> None:
    with pytest.raises(ClientError, match="write 90s"):
        parse_time(text)
