"""What is read off the numbers that a source gives its events about one subject: 1, 2, 3, … without a gap."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import msgspec

from services.shared.contracts import AnyEvent


class Place(msgspec.Struct, frozen=True, order=True):
    """Where an event belongs; two different events never share one."""

    source: str
    subject: UUID
    sequence: int


class Record(msgspec.Struct, frozen=True):
    """An event as it is kept. `body` is the event itself, whole."""

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


def place_of(event: AnyEvent) -> Place:
    return Place(storable(event.source), event.subject, event.sourcesequence)


def storable(text: str) -> str:
    """PostgreSQL keeps no NUL in a text, so neither do columns; the body keeps it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


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


def sort_out(arrived: Iterable[Record], kept: dict[Place, UUID]) -> list[Record]:
    """Those of `arrived` that contradict what is kept at their place; the others are kept or repetitions."""
    return [record for record in arrived if kept[record.place] != record.id]
