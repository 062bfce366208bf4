"""Every event there is, and every one that there may be, is kept."""

from collections.abc import Iterable

from services.audit.store import Log, record_of
from services.shared.contracts import EventData
from warren_messaging.codec import OpaqueEvent
from warren_messaging.handlers import Handlers


async def on_event(event: OpaqueEvent, log: Log) -> Iterable[EventData]:
    log.add(record_of(event))
    return ()


HANDLERS: Handlers[Log] = {EventData: on_event}
