"""Deliveries on their way through a consumer, and the verdicts on them."""

import hashlib
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from opentelemetry.trace import Span

from warren_messaging import tracing
from warren_messaging.amqp.properties import RawProperties
from warren_messaging.errors import UndecodableProperties
from warren_messaging.events import AnyEvent
from warren_messaging.handlers import AnyEffect, Handler
from warren_messaging.transaction import Transaction

T = TypeVar("T", bound=Transaction)


class Delivery(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One message as a queue handed it to a consumer."""

    tag: int
    body: bytes
    exchange: str = ""
    """The exchange that its sender published it to."""
    routing_key: str = ""
    queue: str = ""
    """The queue that delivered it."""
    user_id: str | None = None
    """The broker user that published it, verified by the broker; None if the sender did not set it."""
    returned: bool = False
    """This queue delivered it before."""
    replays: int = 0
    """How often it was replayed from a parking lot."""
    defect: str | None = None
    """Why it is refused unread: undecodable properties that decide about it, or a body that is too large."""
    body_hash: str | None = None
    """SHA-256 of a body that was not kept."""
    properties: RawProperties | None = None
    """All properties, undecoded."""

    @property
    def may_have_failed(self) -> bool:
        """Whether the table `failures` may have a row about it."""
        return self.returned or self.replays > 0

    @property
    def traceparent(self) -> str | None:
        """The trace context of the publish, from the header. None without one that can be decoded."""
        try:
            header = None if self.properties is None else self.properties.header(tracing.HEADER)
        except UndecodableProperties:
            return None
        return header if isinstance(header, str) else None

    @property
    def content_key(self) -> str:
        """Identifies a delivery whose event cannot be read or trusted."""
        return self.body_hash or hashlib.sha256(self.body).hexdigest()


class Verdict(Enum):
    """The action that the broker takes with a delivery."""

    ACK = auto()
    """Remove it: its effect is committed."""
    RETRY = auto()
    """Deliver it again after the queue's delay, and count the attempt."""
    DEAD_LETTER = auto()
    """Move it to the parking lot through the queue's dead-letter exchange."""
    RELEASE = auto()
    """Deliver it again at once, uncounted: it was not tried."""


AckCallback = Callable[[Delivery, Verdict], None]


class DecodedDelivery(msgspec.Struct, eq=False):
    """A delivery whose event was read and whose sender is genuine."""

    delivery: Delivery
    event: AnyEvent
    dedup_key: UUID
    span: Span | None
    """None if its trace is not recorded."""


class HandlerRun(DecodedDelivery, Generic[T], eq=False):
    """A delivery with the handler that processes it."""

    handler: Handler[T]


class EffectRun(DecodedDelivery, Generic[T], eq=False):
    """A delivery with the effect that processes it, and how far the effect has come."""

    effect: AnyEffect[T]
    intent: Any = None
    """Argument of `perform`; None before `prepare`, and when there is nothing to perform."""
    result: Any = None
    started_at: float = 0.0
    """time.perf_counter() at the beginning of `perform`."""


def event_id_of(event: AnyEvent) -> UUID:
    """Return the dedup key of a tolerant consumer, for which two versions of one fact are two events."""
    return event.id


def logical_id_of(event: AnyEvent) -> UUID:
    """Return the default dedup key, which the versions of one fact share."""
    return event.logicalid
