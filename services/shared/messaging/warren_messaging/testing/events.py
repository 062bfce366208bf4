"""Events as another service sends them."""

from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from warren_messaging import codec
from warren_messaging.consumer.delivery import Delivery
from warren_messaging.events import AnyEvent, Event, EventData

Data = TypeVar("Data", bound=EventData)

Deliverable = AnyEvent | EventData | bytes
"""An event, the data of one, or a body."""


class _Claims(msgspec.Struct, frozen=True):
    source: str = ""
    type: str = ""


def event_of(data: Data, **fields: Any) -> Event[Data]:
    """Return an event with this data, by default about a new subject.

    Its source is the service that the type is named after: `order.paid` comes from `/warren/order`. `fields` sets
    attributes of the envelope.
    """
    identity = codec.new_id()
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": identity,
        "source": f"/warren/{data.TYPE.partition('.')[0]}",
        "type": data.TYPE,
        "subject": uuid4(),
        "time": codec.now(),
        "logicalid": identity,
        "sourcesequence": 1,
        "data": data,
    }
    return Event(**(attributes | fields))


def with_new_ids(event: Event[Data]) -> Event[Data]:
    """Return a new event with the same content, which is not a repetition."""
    identity = codec.new_id()
    return msgspec.structs.replace(event, id=identity, logicalid=identity)


def delivery_of(message: Deliverable, **fields: Any) -> Delivery:
    """Return the delivery of a message that the service in its source has published with its type as routing key.

    `fields` sets attributes of the delivery. `user_id=None` stands for a sender that does not name its user.
    """
    if isinstance(message, EventData):
        message = event_of(message)
    body = message if isinstance(message, bytes) else codec.encode(message)
    try:
        claims = msgspec.json.decode(body, type=_Claims)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        claims = _Claims()
    attributes: dict[str, Any] = {
        "tag": 0,
        "body": body,
        "exchange": "order.exchange",
        "routing_key": claims.type,
        "user_id": claims.source.rsplit("/", 1)[-1],
    }
    return Delivery(**(attributes | fields))
