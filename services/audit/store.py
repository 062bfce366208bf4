"""The log in the database: rows are added, never changed."""

from collections.abc import Sequence

import structlog

from services.audit.domain import Place, Record, sort_out
from services.shared.messaging.retention import Rule
from services.shared.messaging.transaction import Connection, Transaction

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

    def add(self, record: Record) -> None:
        self._arrived.append(record)

    async def save(self) -> None:
        """Add what is new. A repetition changes nothing; an event at another one's place is kept apart."""
        if not self._arrived:
            return
        # In the order of keys, so that two batches cannot wait for each other in a circle.
        arrived = sorted(self._arrived, key=lambda record: (record.place, record.id))
        added = await self.connection.fetch(
            f"INSERT INTO events ({_COLUMNS}) {_ROWS} ON CONFLICT DO NOTHING RETURNING true",
            *_columns(arrived),
        )
        if len(added) < len(arrived):
            await self._sort_out(arrived)

    async def _sort_out(self, arrived: list[Record]) -> None:
        found = await self.connection.fetch(
            "SELECT source, subject, sequence, id FROM events JOIN"
            " (SELECT DISTINCT * FROM unnest($1::text[], $2::uuid[], $3::int[]) AS p (source, subject, sequence)) AS p"
            " USING (source, subject, sequence)",
            *_columns(arrived)[:3],
        )
        kept = {Place(source, subject, sequence): identity for source, subject, sequence, identity in found}
        contradictions = sort_out(arrived, kept)
        if not contradictions:
            return
        await self.connection.execute(
            f"INSERT INTO contradictions ({_COLUMNS}) {_ROWS} ON CONFLICT DO NOTHING",
            *_columns(contradictions),
        )
        for record in contradictions:
            structlog.get_logger().error(
                "contradiction: two events with one number, both kept",
                source=record.place.source,
                subject=str(record.place.subject),
                sequence=record.place.sequence,
                kept=str(kept[record.place]),
                id=str(record.id),
            )


def forgetting(history_days: int) -> list[Rule]:
    """Whole stories of which nothing was heard for so long, unless `history_days` is 0. The function does it: the
    service's role may not delete from its log."""
    statement = "SELECT forget_events($1::int, $2::tid, $3::tid, $4::int)"
    return [Rule("events", "events", history_days, statement)] if history_days else []


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
