"""The log in the database: rows are added, never changed."""

from collections.abc import Sequence
from datetime import UTC

import structlog

from services.audit.domain import Place, Record, sort_out
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


class Log(Transaction):
    """Collects the events of a batch, and adds them with one statement."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._arrived: list[Record] = []
        self._repeated: list[Record] = []

    def add(self, record: Record) -> None:
        self._arrived.append(record)

    async def repeated(self, events: Sequence[AnyEvent]) -> None:
        self._repeated += [record_of(event) for event in events if isinstance(event, OpaqueEvent)]

    async def save(self) -> None:
        """Add what is new. A true repetition changes nothing; an event at the place of another, or one that came
        before with other content, is kept apart."""
        # In the order of keys, so that two batches cannot wait for each other in a circle.
        arrived = sorted(self._arrived, key=lambda record: (record.place, record.id))
        added: Sequence[object] = ()
        if arrived:
            added = await self.connection.fetch(
                f"INSERT INTO events ({_COLUMNS}) {_ROWS} ON CONFLICT DO NOTHING RETURNING true",
                *_columns(arrived),
            )
        if len(added) < len(arrived) or self._repeated:
            await self._sort_out(arrived + self._repeated)

    async def _sort_out(self, arrived: list[Record]) -> None:
        found = await self.connection.fetch(
            "SELECT source, subject, sequence, id, body FROM events JOIN"
            " (SELECT DISTINCT * FROM unnest($1::text[], $2::uuid[], $3::int[]) AS p (source, subject, sequence)) AS p"
            " USING (source, subject, sequence)",
            *_columns(arrived)[:3],
        )
        kept = {
            Place(source, subject, sequence): (identity, body) for source, subject, sequence, identity, body in found
        }
        contradictions = sort_out(arrived, kept)
        if not contradictions:
            return
        await self.connection.execute(
            f"INSERT INTO contradictions ({_COLUMNS}) {_ROWS} ON CONFLICT DO NOTHING",
            *_columns(contradictions),
        )
        for record in contradictions:
            known, _ = kept.get(record.place, (None, b""))
            text = "one number" if known not in {None, record.id} else "one id"
            structlog.get_logger().error(
                f"contradiction: two events with {text}, both kept",
                source=record.place.source,
                subject=str(record.place.subject),
                sequence=record.place.sequence,
                kept=str(known),
                id=str(record.id),
            )


def record_of(event: OpaqueEvent) -> Record:
    data = CATALOGUE.get(event.type)
    return Record(
        place=Place(event.source, event.subject, event.sourcesequence),
        id=event.id,
        logical_id=event.logicalid,
        type=event.type,
        reference=event.reference,
        time=event.time if event.time.tzinfo else event.time.replace(tzinfo=UTC),
        body=event.body if data is None else redacted(event.body, data),
    )


def retention_rules(history_days: int) -> list[RetentionRule]:
    """Whole stories of which nothing was heard for so long, unless `history_days` is 0. The function does it: the
    service's role may not delete from its log."""
    statement = "SELECT forget_events($1::int, $2::tid, $3::tid, $4::int)"
    return [RetentionRule("events", "events", history_days, statement)] if history_days else []


def _columns(records: Sequence[Record]) -> list[list[object]]:
    return [
        [record.place.source for record in records],
        [record.place.subject for record in records],
        [record.place.sequence for record in records],
        [record.id for record in records],
        [record.logical_id for record in records],
        [record.type for record in records],
        [record.reference for record in records],
        [record.time for record in records],
        [record.body for record in records],
    ]
