from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.audit import cursor
from services.audit.domain import Gap, Place, gaps

ORDER = UUID(int=1)
OTHER = UUID(int=2)


def places(*sequences: int, source: str = "/warren/order", subject: UUID = ORDER) -> list[Place]:
    return [Place(source, subject, sequence) for sequence in sequences]


@pytest.mark.parametrize("sequences", [(), (1,), (1, 2, 3), (3, 1, 2)])
def test_nothing_is_missing(sequences: tuple[int, ...]) -> None:
    assert gaps(places(*sequences)) == []


@pytest.mark.parametrize(
    ("sequences", "missing"),
    [((2,), [(1, 1)]), ((1, 3), [(2, 2)]), ((5, 9, 1), [(2, 4), (6, 8)]), ((2**31 - 1,), [(1, 2**31 - 2)])],
)
def test_what_is_missing_is_told_as_ranges(sequences: tuple[int, ...], missing: list[tuple[int, int]]) -> None:
    assert gaps(places(*sequences)) == [Gap("/warren/order", ORDER, first, last) for first, last in missing]


def test_each_source_counts_for_itself_and_for_each_order() -> None:
    mixed = places(1, 2) + places(1, source="/warren/payment") + places(1, 2, 3, subject=OTHER)
    assert gaps(mixed) == []


@given(st.sets(st.integers(1, 40)))
def test_seen_and_missing_make_up_all_numbers(seen: set[int]) -> None:
    missing = [number for gap in gaps(places(*seen)) for number in range(gap.first, gap.last + 1)]
    assert sorted([*seen, *missing]) == list(range(1, max(seen, default=0) + 1))


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.uuids(),
)
def test_a_cursor_keeps_its_position(time: datetime, identity: UUID) -> None:
    text = cursor.to_text((time, identity))
    assert cursor.from_text(text) == (time, identity)
    assert len(text) == cursor.LENGTH


def test_a_cursor_does_not_depend_on_the_zone() -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    assert cursor.to_text((time, ORDER)) == cursor.to_text((time.astimezone(timezone(timedelta(hours=5))), ORDER))


@given(st.text(max_size=40))
def test_what_is_no_cursor_is_refused(text: str) -> None:
    try:
        position = cursor.from_text(text)
    except ValueError:
        return
    assert cursor.from_text(cursor.to_text(position)) == position
