"""What is read off the numbers that a source gives its events about one subject: 1, 2, 3, … without a gap."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec


class Place(msgspec.Struct, frozen=True, order=True):
    """Where an event belongs; two different events never share one."""

    source: str
    subject: UUID
    sequence: int


class Record(msgspec.Struct, frozen=True):
    """An event as it is kept. `body` is the event as it was received, without secret and personal values."""

    place: Place
    id: UUID
    logical_id: UUID
    type: str
    reference: str | None
    time: datetime
    body: bytes


class Gap(msgspec.Struct, frozen=True, rename="camel"):
    """Numbers that are missing before one that was seen, the first and the last of them."""

    source: str
    subject: UUID
    first: int
    last: int


def gaps(places: Iterable[Place]) -> list[Gap]:
    """What is missing among `places`. An event after the last one seen cannot be missed."""
    found: list[Gap] = []
    before: Place | None = None
    for place in sorted(places):
        if before is None or (place.source, place.subject) != (before.source, before.subject):
            before = Place(place.source, place.subject, 0)
        if place.sequence > before.sequence + 1:
            found.append(Gap(place.source, place.subject, before.sequence + 1, place.sequence - 1))
        before = place
    return found


def sort_out(arrived: Iterable[Record], kept: Mapping[Place, tuple[UUID, bytes]]) -> list[Record]:
    """Those of `arrived` that contradict what is kept at their place, as (id, body); the others are repetitions."""
    return [record for record in arrived if kept.get(record.place) != (record.id, record.body)]
