"""Deliveries on their way through a consumer, and the verdicts on them."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from opentelemetry.trace import Span

from warren_messaging.delivery import Delivery
from warren_messaging.events import AnyEvent
from warren_messaging.handlers import AnyEffect, Handler
from warren_messaging.transaction import Transaction

T = TypeVar("T", bound=Transaction)


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
