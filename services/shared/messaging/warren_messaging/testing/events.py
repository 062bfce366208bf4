"""Builds events and deliveries for tests, as another service would publish them."""

from collections.abc import Iterator
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from warren_messaging import codec
from warren_messaging.delivery import Delivery
from warren_messaging.events import AnyEvent, Event, EventData

Data = TypeVar("Data", bound=EventData)

Deliverable = AnyEvent | EventData | bytes
"""An event, the data of an event, or the body of a message."""


class _ClaimedSender(msgspec.Struct, frozen=True):
    source: str = ""
    type: str = ""


def event_of(data: Data, **fields: Any) -> Event[Data]:
    """Return an event with this data, by default about a new subject.

    Its source is the service that the type is named after: `order.paid` comes from `/warren/order`. `fields` sets
    attributes of the envelope.
    """
    event_id = codec.new_id()
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/warren/{data.TYPE.partition('.')[0]}",
        "type": data.TYPE,
        "subject": uuid4(),
        "time": codec.now(),
        "logicalid": event_id,
        "sourcesequence": 1,
        "data": data,
    }
    return Event(**(attributes | fields))


def with_new_ids(event: Event[Data]) -> Event[Data]:
    """Return a copy that the inbox takes for a new event: `id` and `logicalid` are new."""
    event_id = codec.new_id()
    return msgspec.structs.replace(event, id=event_id, logicalid=event_id)


def delivery_of(message: Deliverable, **fields: Any) -> Delivery:
    """Return a delivery of `message`, published by the service in its `source` with its `type` as routing key.

    `fields` sets attributes of the delivery. `user_id=None` means that the sender did not set its user.
    """
    if isinstance(message, EventData):
        message = event_of(message)
    body = message if isinstance(message, bytes) else codec.encode(message)
    try:
        claimed = msgspec.json.decode(body, type=_ClaimedSender)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        claimed = _ClaimedSender()
    attributes: dict[str, Any] = {
        "tag": 0,
        "body": body,
        "exchange": "order.exchange",
        "routing_key": claimed.type,
        "user_id": claimed.source.rsplit("/", 1)[-1],
    }
    return Delivery(**(attributes | fields))


def with_typed_data(event: AnyEvent) -> AnyEvent:
    """Return the event with its data decoded, if they are raw JSON and a class with their type is imported."""
    if not isinstance(event.data, msgspec.Raw):
        return event
    found = next((kind for kind in _subclasses(EventData) if kind.__dict__.get("TYPE") == event.type), None)
    return event if found is None else msgspec.structs.replace(event, data=msgspec.json.decode(event.data, type=found))


def _subclasses(kind: type[EventData]) -> Iterator[type[EventData]]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)
