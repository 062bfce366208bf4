"""Events as another service would have sent them."""

from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from warren_messaging import codec
from warren_messaging.consumer.delivery import Delivery
from warren_messaging.events import AnyEvent, Event, EventData

Data = TypeVar("Data", bound=EventData)

Deliverable = AnyEvent | EventData | bytes
"""What may be delivered: an event, data to make one of, or a body as it would lie in the queue."""


class _Claims(msgspec.Struct, frozen=True):
    source: str = ""
    type: str = ""


def event_of(data: Data, **fields: Any) -> Event[Data]:
    """An event that says `data`, about a subject of its own unless `subject` is given.

    Its source is the service that the type is named after: `order.paid` comes from `/warren/order`. Any attribute of
    the envelope may be given.
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
    """The same words said anew: another event, and no repetition."""
    identity = codec.new_id()
    return msgspec.structs.replace(event, id=identity, logicalid=identity)


def delivery_of(message: Deliverable, **fields: Any) -> Delivery:
    """A delivery as a broker makes it: published by the service that the event names, with its type as routing key.

    Any attribute of the delivery may be given. `user_id=None` is a sender that does not name its user.
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
