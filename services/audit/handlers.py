"""Every event there is, and every one that there may be, is kept."""

from collections.abc import Iterable
from datetime import UTC

from services.audit.domain import Record, place_of, storable
from services.audit.store import Log
from services.shared.contracts import AnyEvent, EventData
from services.shared.messaging.codec import encode
from services.shared.messaging.errors import PermanentError
from services.shared.messaging.handlers import Handlers

HIGHEST_SEQUENCE = 2**31 - 1


async def on_event(event: AnyEvent, log: Log) -> Iterable[EventData]:
    if event.sourcesequence > HIGHEST_SEQUENCE:
        raise PermanentError(f"sourcesequence {event.sourcesequence} cannot be stored")
    log.add(
        Record(
            place=place_of(event),
            id=event.id,
            logical_id=event.logicalid,
            type=storable(event.type),
            reference=None if event.reference is None else storable(event.reference),
            time=event.time if event.time.tzinfo else event.time.replace(tzinfo=UTC),
            body=encode(event),
        )
    )
    return ()


HANDLERS: Handlers[Log] = {EventData: on_event}
