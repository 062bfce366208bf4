"""The unit of work of a handler."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import msgspec

from warren_messaging import codec, tracing
from warren_messaging.events import MAX_PRIORITY, MAX_REFERENCE, MAX_TRACE, AnyEvent, EventData

if TYPE_CHECKING:
    Connection = asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]
    """A connection of asyncpg, with the open transaction of a unit of work."""
else:  # the classes are generic only in their stubs
    Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


MAX_EXPIRY_MS = 2**31 - 1  # ms
MAX_SCHEDULE = timedelta(days=3653)
"""How far from now an event may be scheduled: ten years. A time beyond it is a mistake, such as a wrong unit."""


class Announcement(msgspec.Struct, frozen=True):
    """An event that a transaction publishes after its commit, before it has a number."""

    id: UUID
    """The id of the event."""
    type: str
    data: EventData | msgspec.Raw
    subject: UUID
    """The thing that the event is about."""
    reference: str | None = None
    causation_id: UUID | None = None
    exchange: str | None = None
    """None: the service's own exchange."""
    priority: int | None = None
    """0 to 31, 4 when not given; higher is delivered first."""
    expires_ms: int | None = None
    """Milliseconds after which a queue drops the message; None: never."""
    traceparent: str | None = None
    """W3C trace context: the span in which it was announced, or the context of its cause."""


class Transaction:
    """One database transaction, shared by a batch of deliveries. `connection` runs its SQL.

    It commits together with the inbox entries of its events and with its announcements, or none of them does. A service
    derives its own class: `load` reads and locks the rows of all events of the batch in one statement,
    handlers change objects in memory, and `save` writes the changes in one statement for each table. Rows must be
    locked in the order of their keys, or two batches may wait for each other.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.announcements: list[Announcement] = []
        """Events to publish after the commit."""
        self.scheduled: list[tuple[datetime, Announcement]] = []
        """Events to publish later, each with its time."""
        self.cancelled: set[UUID] = set()
        """Ids of scheduled messages that the commit cancels."""
        self.cancelled_about: set[tuple[UUID, str]] = set()
        """Subjects and event types whose scheduled messages the commit cancels."""

    async def load(self, events: Sequence[AnyEvent]) -> None:
        """Called once before the first handler, with the new events of the batch."""

    async def repeated(self, events: Sequence[AnyEvent]) -> None:
        """Called once after the last handler, with the events of the batch that were processed before, if any."""

    async def save(self) -> None:
        """Called once after the last handler, before the commit."""

    def announce(
        self,
        data: EventData,
        *,
        cause: AnyEvent | None = None,
        subject: UUID | None = None,
        reference: str | None = None,
        exchange: str | None = None,
        priority: int | None = None,
        expires_ms: int | None = None,
        traceparent: str | None = None,
        deliver_at: datetime | None = None,
    ) -> UUID:
        """Publish `data` when, and only when, this transaction commits. Returns the id of the event.

        With `deliver_at`, a time with a time zone, the event is published within a second after that time, at once if
        it is past; until then `cancel_scheduled` withdraws it. Subject, reference and priority default to those of
        `cause`. The trace context defaults to the current span, else to the context of `cause`. Raises ValueError for
        values that the broker would refuse, and for a time that is naive or more than ten years away.
        """
        if cause is not None:
            subject, reference = subject or cause.subject, reference or cause.reference
            priority = cause.priority if priority is None else priority
        if traceparent is None:
            traceparent = _context_of(cause)
        if subject is None:
            raise ValueError(f"{data.TYPE} has no subject: give a cause or a subject")
        # A value that the broker or every reader refuses must not be committed: the relay would try it again and again.
        if reference is not None and len(reference) > MAX_REFERENCE:
            text = f"{data.TYPE} has a reference of {len(reference)} characters"
            raise ValueError(f"{text}: {MAX_REFERENCE} are possible")
        if priority is not None and not 0 <= priority <= MAX_PRIORITY:
            raise ValueError(f"{data.TYPE} has the priority {priority}: 0 to {MAX_PRIORITY} are possible")
        if traceparent is not None and len(traceparent) > MAX_TRACE:
            raise ValueError(f"{data.TYPE} has a trace of {len(traceparent)} characters: {MAX_TRACE} are possible")
        if expires_ms is not None and not 0 <= expires_ms <= MAX_EXPIRY_MS:
            raise ValueError(f"{data.TYPE} expires after {expires_ms} ms: 0 to {MAX_EXPIRY_MS} are possible")
        if deliver_at is not None:
            _require_possible(deliver_at, data.TYPE)
        announcement = Announcement(
            codec.new_id(),
            data.TYPE,
            data,
            subject,
            reference,
            None if cause is None else cause.id,
            exchange,
            priority,
            expires_ms,
            traceparent,
        )
        if deliver_at is None:
            self.announcements.append(announcement)
        else:
            self.scheduled.append((deliver_at, announcement))
        return announcement.id

    def cancel_scheduled(self, *ids: UUID) -> None:
        """Cancel scheduled messages when this transaction commits, by the ids that `announce` returned.

        After the commit a cancelled message is never published. One that was due already may have been published: its
        id is ignored, like an unknown one.
        """
        self.scheduled = [each for each in self.scheduled if each[1].id not in ids]
        self.cancelled.update(ids)

    def cancel_scheduled_about(self, subject: UUID, *kinds: type[EventData]) -> None:
        """Like `cancel_scheduled`, for all scheduled messages about a subject with data of these classes.

        Messages that this transaction schedules afterwards stay.
        """
        types = {(subject, kind.TYPE) for kind in kinds}
        self.scheduled = [each for each in self.scheduled if (each[1].subject, each[1].type) not in types]
        self.cancelled_about |= types


def _context_of(cause: AnyEvent | None) -> str | None:
    """Return the current span's context, else the cause's. A cause whose trace is not recorded has no span: the current
    span would be one around the whole process."""
    if cause is None:
        return tracing.current_traceparent()
    unsampled = tracing.is_unsampled(cause.traceparent)
    return cause.traceparent if unsampled else tracing.current_traceparent() or cause.traceparent


def _require_possible(deliver_at: datetime, event_type: str) -> None:
    text = f"{event_type} is to be delivered at {deliver_at.isoformat()}"
    if deliver_at.utcoffset() is None:
        raise ValueError(f"{text}, which has no time zone: give an aware time, such as datetime.now(UTC) + delay")
    if abs(deliver_at - codec.now()) > MAX_SCHEDULE:
        raise ValueError(f"{text}: at most {MAX_SCHEDULE.days} days from now are possible")
