"""The one shape every event has: CloudEvents 1.0, structured JSON mode.

The body is self-contained: the broker, the outbox, the audit log and the stream all keep the same bytes.
Attributes beyond the CloudEvents core are extensions in the sense of its specification
(lower-case letters, at most 20 of them).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

CONTENT_TYPE = "application/cloudevents+json"

DataT = TypeVar("DataT")

ShortText = Annotated[str, msgspec.Meta(max_length=255)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

# Both travel as AMQP properties too. A value that no broker takes is refused on reading: whoever inherits it from a
# cause could publish nothing any more.
Trace = Annotated[str, msgspec.Meta(max_length=256)]
SequenceNumber = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=31)]


class EventData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of what an event says. Unknown fields are ignored on reading, so a publisher may add some."""

    TYPE: ClassVar[str]
    """CloudEvents `type`, and at the same time the routing key."""


Catalogue = Mapping[str, type[EventData]]
"""Event type to the structure of its data."""


class Event(msgspec.Struct, Generic[DataT], frozen=True, kw_only=True, omit_defaults=True):
    """One event as it travels.

    `id` is new for each event; `logicalid` is shared by the versions of one fact and is what consumers
    deduplicate by. `sourcesequence` counts the events of one source about one subject from 1 without a gap.
    """

    specversion: str
    id: UUID
    source: Name
    type: Name
    subject: UUID
    time: datetime
    logicalid: UUID
    sourcesequence: SequenceNumber
    reference: ShortText | None = None
    """What people call the subject: the customer's own order number."""
    causationid: UUID | None = None
    """`id` of the event that led to this one."""
    traceparent: Trace | None = None
    """W3C trace context."""
    priority: Priority | None = None
    """0 to 31, 4 when not given; what follows from an event inherits it, so an express order stays ahead."""
    data: DataT


AnyEvent = Event[Any]
