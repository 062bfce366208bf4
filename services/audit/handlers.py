"""The event handler of the audit service: it stores every event, also of unknown types."""

from collections.abc import Iterable

from services.audit.store import EventLog, entry_of
from services.shared.contracts import EventData
from warren_messaging.codec import OpaqueEvent
from warren_messaging.handlers import Handlers


async def on_event(event: OpaqueEvent, log: EventLog) -> Iterable[EventData]:
    log.add(entry_of(event))
    return ()


HANDLERS: Handlers[EventLog] = {EventData: on_event}
