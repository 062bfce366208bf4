"""Events as another service would have sent them."""

from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from services.shared.contracts import Event, EventData
from services.shared.messaging import codec

Data = TypeVar("Data", bound=EventData)


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


def again(event: Event[Data]) -> Event[Data]:
    """The same words said anew: another event, and no repetition."""
    identity = codec.new_id()
    return msgspec.structs.replace(event, id=identity, logicalid=identity)
