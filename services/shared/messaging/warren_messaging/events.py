"""The envelope of every event: CloudEvents 1.0, structured JSON mode.

The body is self-contained: broker, outbox and audit log store the same bytes. Attributes beyond the CloudEvents core
are extensions in the sense of its specification (at most 20 lower-case letters).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

CONTENT_TYPE = "application/cloudevents+json"

DataT = TypeVar("DataT")

MAX_REFERENCE = 255  # characters
ShortText = Annotated[str, msgspec.Meta(max_length=MAX_REFERENCE)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]

# Trace and priority are AMQP properties too. A value that no broker accepts is refused on reading: an event that
# inherits it from its cause could not be published.
MAX_TRACE = 256  # characters
TRACE_HEADER = "traceparent"
MAX_PRIORITY = 31
Trace = Annotated[str, msgspec.Meta(max_length=MAX_TRACE)]
MAX_SEQUENCE = 2**31 - 1
SequenceNumber = Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=MAX_PRIORITY)]


class EventData(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base class of the data of events. Unknown fields are ignored on reading, so a publisher may add fields."""

    TYPE: ClassVar[str]
    """CloudEvents `type`, and the routing key."""


Catalogue = Mapping[str, type[EventData]]
"""Event type to the class of its data."""


class Event(msgspec.Struct, Generic[DataT], frozen=True, kw_only=True, omit_defaults=True):
    """One event as it is published.

    `id` is new for each event. `logicalid` is shared by the versions of one fact; consumers deduplicate by it.
    `sourcesequence` numbers the events of one source about one subject from 1 without a gap.
    """

    specversion: str
    id: UUID
    source: Name
    type: Name
    subject: UUID
    """The thing that the event is about, such as an order."""
    time: datetime
    """When the event was announced; for a scheduled one, when it was due and published."""
    logicalid: UUID
    sourcesequence: SequenceNumber
    reference: ShortText | None = None
    """The name that people use for the subject, such as an order number."""
    causationid: UUID | None = None
    """`id` of the event that led to this one."""
    traceparent: Trace | None = None
    """W3C trace context."""
    priority: Priority | None = None
    """0 to 31, 4 by default. Events inherit it from their cause, so an urgent order keeps its priority."""
    data: DataT


AnyEvent = Event[Any]
"""An event whose data may be of any class."""
