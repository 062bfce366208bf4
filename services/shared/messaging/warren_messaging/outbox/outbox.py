"""The outbox: events commit together with the state that they describe, and reach the broker after that.

`Outbox.transaction` is the only way to change state and announce it. Within the transaction the events get their
sequence numbers and are stored. A slot in the relay's publishing order is reserved before COMMIT is sent and committed
when COMMIT has succeeded. Two transactions about one subject exclude each other until the commit, so one process
publishes the events of a subject in the order of their commits. After a crash, between replicas and after a retry
that order may differ.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from operator import attrgetter
from typing import TypeVar
from uuid import UUID

from warren_messaging import codec
from warren_messaging.errors import MalformedEvent, PermanentError
from warren_messaging.events import MAX_SEQUENCE, AnyEvent, Event
from warren_messaging.outbox.relay import OutboxEntry, PublishSlot, Relay, message_of
from warren_messaging.postgres import scheduled
from warren_messaging.postgres.database import Database
from warren_messaging.postgres.scheduled import ScheduledRow
from warren_messaging.postgres.values import array_literal
from warren_messaging.transaction import Announcement, Connection, Transaction

T = TypeVar("T", bound=Transaction)


class Outbox:
    """Stores state changes and their events in one transaction.

    `source` names the service in its events; `exchange` is the default destination of an announcement.
    """

    def __init__(self, database: Database, relay: Relay, *, source: str, exchange: str) -> None:
        self._database = database
        self._relay = relay
        self._source = source
        self._exchange = exchange

    @asynccontextmanager
    async def transaction(self, kind: Callable[[Connection], T]) -> AsyncIterator[T]:
        """Run a block in a transaction and publish its announcements after the commit.

        Raises DatabaseUnavailable if the server becomes unavailable, also during the commit: see Database.transaction.
        """
        slot: PublishSlot | None = None
        entries: list[OutboxEntry] = []
        try:
            async with self._database.transaction() as connection:
                uow = kind(connection)
                yield uow
                await uow.save()
                if uow.cancelled:
                    await scheduled.delete(connection, uow.cancelled)
                if uow.cancelled_about:
                    await scheduled.delete_about(connection, uow.cancelled_about)
                if uow.scheduled:
                    await scheduled.insert(connection, self._scheduled_rows(uow))
                if uow.announcements:
                    sequences = await _next_sequences(connection, uow.announcements)
                    slot = self._relay.reserve()
                    entries = self._entries(uow.announcements, sequences)
                    await _store(connection, entries, slot)
        except BaseException:
            if slot is not None:
                slot.abort()
            raise
        if slot is not None:
            slot.commit(entries)
            self._relay.telemetry.committed(uow, [entry.event for entry in entries])

    def _scheduled_rows(self, uow: Transaction) -> list[ScheduledRow]:
        # The longest form of time and number: the body does not grow beyond the limit when they are replaced.
        time = codec.now().replace(microsecond=999_999)
        rows = []
        for deliver_at, announcement in uow.scheduled:
            event = self._event(announcement, MAX_SEQUENCE, time)
            rows.append(
                ScheduledRow(
                    id=event.id,
                    due_at=deliver_at,
                    event_type=event.type,
                    subject=event.subject,
                    exchange=announcement.exchange or self._exchange,
                    body=_encode(event),
                    expires_ms=announcement.expires_ms,
                )
            )
        return rows

    def _entries(self, announcements: Sequence[Announcement], sequences: dict[UUID, int]) -> list[OutboxEntry]:
        entries = []
        for announcement in announcements:
            sequence = sequences[announcement.subject] = sequences[announcement.subject] + 1
            event = self._event(announcement, sequence, codec.now())
            exchange = announcement.exchange or self._exchange
            message = message_of(event, _encode(event), exchange, announcement.expires_ms)
            entries.append(OutboxEntry(event=event, message=message))
        return entries

    def _event(self, announcement: Announcement, sequence: int, time: datetime) -> AnyEvent:
        return Event(
            specversion="1.0",
            id=announcement.id,
            source=self._source,
            type=announcement.type,
            subject=announcement.subject,
            time=time,
            logicalid=announcement.id,
            sourcesequence=sequence,
            reference=announcement.reference,
            causationid=announcement.causation_id,
            traceparent=announcement.traceparent,
            priority=announcement.priority,
            data=announcement.data,
        )


def _encode(event: AnyEvent) -> bytes:
    body = codec.encode(event)
    try:
        codec.require_readable(body)
    except MalformedEvent as error:
        raise PermanentError(f"{event.type} cannot be announced, its readers would refuse it: {error}") from error
    return body


async def _next_sequences(connection: Connection, announcements: Sequence[Announcement]) -> dict[UUID, int]:
    """Reserve sequence numbers. Returns the last number used before, by subject.

    The rows are locked in the order of their keys.
    """
    counts = Counter([announcement.subject for announcement in announcements])
    subjects = sorted(counts, key=attrgetter("int"))
    rows = await connection.fetch(
        "INSERT INTO sequences AS s (subject, last) SELECT * FROM unnest($1::text::uuid[], $2::text::int[])"
        " ON CONFLICT (subject) DO UPDATE SET last = s.last + excluded.last RETURNING subject, last",
        array_literal(subjects),
        array_literal([counts[subject] for subject in subjects]),
    )
    return {subject: last - counts[subject] for subject, last in rows}


async def _store(connection: Connection, entries: list[OutboxEntry], slot: PublishSlot) -> None:
    exchanges: dict[str, int] = {}  # to their place in the array_literal, from 1
    for entry in entries:
        exchanges.setdefault(entry.message.exchange, len(exchanges) + 1)
    rows = await connection.fetch(
        "INSERT INTO outbox (exchange, body, expires_ms, owner, leased_until)"
        " SELECT ($1::text[])[e], b, x, $5, now() + make_interval(secs => $6)"
        " FROM unnest($2::text::int[], $3::bytea[], $4::text::int[]) AS t (e, b, x)"
        " RETURNING position",
        list(exchanges),
        array_literal([exchanges[entry.message.exchange] for entry in entries]),
        [entry.message.body for entry in entries],
        array_literal([entry.message.expires_ms for entry in entries]),
        slot.owner,
        slot.lease_seconds,
    )
    for entry, row in zip(entries, rows, strict=True):
        entry.position = row[0]
