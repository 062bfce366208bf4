"""Sequence numbers: each source numbers its events about one subject 1, 2, 3, … without a gap."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec


class SequenceKey(msgspec.Struct, frozen=True, order=True):
    """Identifies an event by its sequence number. Two different events never have the same key."""

    source: str
    subject: UUID
    sequence: int


class LogEntry(msgspec.Struct, frozen=True):
    """An event in the log. `body` is the event as it was received, without secret and personal values."""

    key: SequenceKey
    id: UUID
    logical_id: UUID
    type: str
    reference: str | None
    time: datetime
    body: bytes


class SequenceGap(msgspec.Struct, frozen=True, rename="camel"):
    """Missing sequence numbers, from `first` to `last`, before one that is in the log."""

    source: str
    subject: UUID
    first: int
    last: int


def find_gaps(keys: Iterable[SequenceKey]) -> list[SequenceGap]:
    """Returns the gaps in `keys`. Events after the last one in the log cannot be noticed."""
    found: list[SequenceGap] = []
    before: SequenceKey | None = None
    for key in sorted(keys):
        if before is None or (key.source, key.subject) != (before.source, before.subject):
            before = SequenceKey(key.source, key.subject, 0)
        if key.sequence > before.sequence + 1:
            found.append(SequenceGap(key.source, key.subject, before.sequence + 1, key.sequence - 1))
        before = key
    return found


def contradictions(arrived: Iterable[LogEntry], stored: Mapping[SequenceKey, tuple[UUID, bytes]]) -> list[LogEntry]:
    """Returns the entries that differ from the stored (id, body) of their key. The others are repetitions."""
    return [entry for entry in arrived if stored.get(entry.key) != (entry.id, entry.body)]
