"""Moves scheduled messages to the outbox when they are due.

`Transaction.announce(..., deliver_at=...)` stores a row in the table `scheduled`, in the transaction of the state that
it follows from. A periodic job in each process with an outbox moves due rows: it locks them, announces their events and
deletes them in one transaction, so a crash at any point leaves each event either scheduled or in the outbox. Events get
their sequence numbers when they are moved. Several processes share the work, and keep the order within a subject.
"""

from functools import partial

from warren_messaging.codec import Codec
from warren_messaging.errors import MalformedEvent
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.periodic_job import PeriodicJob
from warren_messaging.postgres import scheduled
from warren_messaging.telemetry import Telemetry
from warren_messaging.transaction import Announcement, Transaction

POLL_SECONDS = 0.9  # with the jitter of a PeriodicJob: a message is moved within a second
MAX_MOVED = 500  # messages in one transaction
POSTPONE_SECONDS = 600.0  # until a row that is not an event is tried again

_codec = Codec({}, tolerant=True)  # the data is published as it is stored


class DueMessageMover(PeriodicJob[Transaction]):
    """Moves due messages every `seconds`; run `run()` as a task in each process that has an outbox."""

    def __init__(self, outbox: Outbox, telemetry: Telemetry, seconds: float = POLL_SECONDS) -> None:
        job = partial(move_due, telemetry=telemetry)
        super().__init__("schedule", seconds, outbox, Transaction, job, telemetry)


async def move_due(uow: Transaction, telemetry: Telemetry, ahead: float = 0.0) -> int:
    """Announce due messages, at most MAX_MOVED, and delete their rows. Returns their number. For `ahead` see
    `scheduled.lock_due`."""
    rows = await scheduled.lock_due(uow.connection, MAX_MOVED, ahead)
    if not rows:
        return 0
    moved, unreadable = [], []
    for row_id, exchange, body, expires_ms in rows:
        try:
            event = _codec.decode(body)
        except MalformedEvent as error:
            telemetry.status("schedule", f"scheduled message {row_id} is not an event: {error}")
            unreadable.append(row_id)
            continue
        moved.append(row_id)
        uow.announcements.append(
            Announcement(
                id=event.id,
                type=event.type,
                data=event.data,
                subject=event.subject,
                reference=event.reference,
                causation_id=event.causationid,
                exchange=exchange,
                priority=event.priority,
                expires_ms=expires_ms,
                traceparent=event.traceparent,
            )
        )
    await scheduled.delete(uow.connection, moved)
    if unreadable:
        await scheduled.postpone(uow.connection, unreadable, POSTPONE_SECONDS)
    return len(rows)
