from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit.domain import SequenceGap, SequenceKey, find_gaps
from services.audit.queries import CURSOR_LENGTH, from_cursor, to_cursor

ORDER = UUID(int=1)
OTHER = UUID(int=2)


def keys(*sequences: int, source: str = "/warren/order", subject: UUID = ORDER) -> list[SequenceKey]:
    return [SequenceKey(source, subject, sequence) for sequence in sequences]


@pytest.mark.parametrize("sequences", [(), (1,), (1, 2, 3), (3, 1, 2)])
def test_nothing_is_missing(sequences: tuple[int, ...]) -> None:
    assert find_gaps(keys(*sequences)) == []


@pytest.mark.parametrize(
    ("sequences", "missing"),
    [((2,), [(1, 1)]), ((1, 3), [(2, 2)]), ((5, 9, 1), [(2, 4), (6, 8)]), ((2**31 - 1,), [(1, 2**31 - 2)])],
)
def test_missing_numbers_are_returned_as_ranges(sequences: tuple[int, ...], missing: list[tuple[int, int]]) -> None:
    assert find_gaps(keys(*sequences)) == [SequenceGap("/warren/order", ORDER, first, last) for first, last in missing]


def test_each_source_numbers_the_events_of_each_order_separately() -> None:
    mixed = keys(1, 2) + keys(1, source="/warren/payment") + keys(1, 2, 3, subject=OTHER)
    assert find_gaps(mixed) == []


@given(st.sets(st.integers(1, 40)))
def test_present_and_missing_numbers_are_all_numbers(seen: set[int]) -> None:
    missing = [number for gap in find_gaps(keys(*seen)) for number in range(gap.first, gap.last + 1)]
    assert sorted([*seen, *missing]) == list(range(1, max(seen, default=0) + 1))


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.uuids(),
)
def test_a_cursor_keeps_its_position(time: datetime, event_id: UUID) -> None:
    text = to_cursor((time, event_id))
    assert from_cursor(text) == (time, event_id)
    assert len(text) == CURSOR_LENGTH


def test_a_cursor_does_not_depend_on_the_zone() -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    assert to_cursor((time, ORDER)) == to_cursor((time.astimezone(timezone(timedelta(hours=5))), ORDER))


@given(st.text(max_size=40))
def test_an_invalid_cursor_is_refused(text: str) -> None:
    try:
        position = from_cursor(text)
    except ValueError:
        return
    assert from_cursor(to_cursor(position)) == position
