"""The tables `events` and `contradictions`. Rows are inserted, never changed."""

from collections.abc import Sequence
from datetime import UTC

import structlog
from msgspec.structs import astuple

from services.audit import domain
from services.audit.domain import LogEntry, SequenceKey
from services.shared.chassis.repository import columns
from services.shared.contracts import CATALOGUE, AnyEvent
from services.shared.contracts.privacy import redacted
from warren_messaging.codec import OpaqueEvent
from warren_messaging.postgres.retention import RetentionRule
from warren_messaging.transaction import Connection, Transaction

_COLUMNS = "source, subject, sequence, id, logical_id, type, reference, time, body"
_ROWS = (
    "SELECT * FROM unnest($1::text[], $2::uuid[], $3::int[], $4::uuid[], $5::uuid[], $6::text[], $7::text[],"
    " $8::timestamptz[], $9::bytea[])"
)


class EventLog(Transaction):
    """Collects the events of a batch and inserts them with one statement."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._arrived: list[LogEntry] = []
        self._repeated: list[LogEntry] = []

    def add(self, entry: LogEntry) -> None:
        self._arrived.append(entry)

    async def repeated(self, events: Sequence[AnyEvent]) -> None:
        self._repeated += [entry_of(event) for event in events if isinstance(event, OpaqueEvent)]

    async def save(self) -> None:
        """Inserts new events. An exact repetition changes nothing. An event with the key of another one, or with a
        known id and other content, goes to `contradictions`."""
        # In the order of keys, so two batches cannot deadlock.
        arrived = sorted(self._arrived, key=lambda entry: (entry.key, entry.id))
        inserted: Sequence[object] = ()
        if arrived:
            inserted = await self.connection.fetch(
                f"INSERT INTO events ({_COLUMNS}) {_ROWS} ON CONFLICT DO NOTHING RETURNING true",
                *columns(map(_row, arrived)),
            )
        if len(inserted) < len(arrived) or self._repeated:
            await self._save_contradictions(arrived + self._repeated)

    async def _save_contradictions(self, arrived: list[LogEntry]) -> None:
        rows = await self.connection.fetch(
            "SELECT source, subject, sequence, id, body FROM events JOIN"
            " (SELECT DISTINCT * FROM unnest($1::text[], $2::uuid[], $3::int[]) AS p (source, subject, sequence)) AS p"
            " USING (source, subject, sequence)",
            *columns(map(_row, arrived))[:3],
        )
        stored = {
            SequenceKey(source, subject, sequence): (event_id, body)
            for source, subject, sequence, event_id, body in rows
        }
        found = domain.contradictions(arrived, stored)
        if not found:
            return
        await self.connection.execute(
            f"INSERT INTO contradictions ({_COLUMNS}) {_ROWS} ON CONFLICT DO NOTHING", *columns(map(_row, found))
        )
        for entry in found:
            stored_id, _ = stored.get(entry.key, (None, b""))
            structlog.get_logger().error(
                "contradicting events",
                same="sequence" if stored_id not in {None, entry.id} else "id",
                source=entry.key.source,
                subject=str(entry.key.subject),
                sequence=entry.key.sequence,
                stored_id=str(stored_id),
                event_id=str(entry.id),
            )


def entry_of(event: OpaqueEvent) -> LogEntry:
    data = CATALOGUE.get(event.type)
    return LogEntry(
        key=SequenceKey(event.source, event.subject, event.sourcesequence),
        id=event.id,
        logical_id=event.logicalid,
        type=event.type,
        reference=event.reference,
        time=event.time if event.time.tzinfo else event.time.replace(tzinfo=UTC),
        body=event.body if data is None else redacted(event.body, data),
    )


def retention_rules(history_days: int) -> list[RetentionRule]:
    """Return the rule that removes all events of an order when the last one is old enough; none if `history_days` is 0.

    A database function deletes them, since the service's role may not delete from its log."""
    statement = "SELECT forget_events($1::int, $2::tid, $3::tid, $4::int)"
    return [RetentionRule("events", "events", history_days, statement)] if history_days else []


def _row(entry: LogEntry) -> tuple[object, ...]:
    """Return the values of _COLUMNS."""
    key, *values = astuple(entry)
    return (*astuple(key), *values)
