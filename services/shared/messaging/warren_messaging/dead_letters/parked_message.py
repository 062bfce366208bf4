"""One message in a parking lot, as far as it can be read.

It combines three sources. The body names the event, if it can be read. The broker's `x-death` header names the queue
that parked it, the reason and the time. The table `failures` of that queue's service has the reason in words, under one
of `keys`: a body that could not be read is on record under its hash.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from aiormq import spec

from warren_messaging.amqp.properties import RawProperties
from warren_messaging.amqp.received import Received
from warren_messaging.events import TRACE_HEADER
from warren_messaging.sender import forgery_reason

RUN_HEADER = "x-warren-replay"
"""The run of `replay` that returned a message: the same run skips it if it is parked again."""
COUNT_HEADER = "x-warren-replays"
"""How often a message was replayed."""
MAX_REPLAYS = 2**31 - 1

UNROUTED = "unrouted.queue"
"""Holds events that no queue is bound for."""
LOT_SUFFIX = ".dlq"
"""Suffix of the names of parking lots."""

MAX_SHORTSTR = 255  # bytes in a message id

_BROKER_HEADERS = (b"x-death", b"x-first-death-", b"x-last-death-", b"x-delivery-count", b"x-acquired-count")
_QUEUE_LIST_HEADERS = (b"CC", b"BCC")


class ReadableEnvelope(msgspec.Struct, frozen=True):
    """The readable attributes of the body; None for those that are missing or of another type."""

    id: str | None = None
    logicalid: str | None = None
    type: str | None = None
    source: str | None = None
    subject: str | None = None
    reference: str | None = None


TOO_DEEP = ReadableEnvelope()
"""Envelope of a body that is nested too deeply to be read here. A service with a shorter stack may read it."""


class DeathRecord(msgspec.Struct, frozen=True):
    """The broker's record of how a message came to its parking lot."""

    queue: str
    reason: str
    """rejected, expired, delivery_limit or maxlen."""
    time: datetime | None
    exchange: str
    """The exchange that its sender published it to."""
    routing_key: str


UNREADABLE_DEATH = DeathRecord("", "the broker's record of it cannot be decoded", None, "", "")
"""Its exchange is empty, so a forged message is not taken for a replay."""


class FailureRecord(msgspec.Struct, frozen=True):
    """A row of a `failures` table."""

    service: str
    key: str
    event_type: str | None
    subject: UUID | None
    attempts: int
    reason: str
    state: str
    first_at: datetime
    last_at: datetime


class ParkedMessage(msgspec.Struct, frozen=True, eq=False):
    """A message that `lot` has delivered; the lot acknowledges it by `tag`."""

    lot: str
    tag: int
    body: bytes
    properties: spec.Basic.Properties
    """The decodable properties."""
    exchange: str
    routing_key: str
    envelope: ReadableEnvelope
    death: DeathRecord | None
    raw: RawProperties
    """All properties, undecoded."""
    undecodable: Mapping[str, str]
    """The reason for each property and header that cannot be decoded."""

    @property
    def headers(self) -> Mapping[str, Any]:
        return self.properties.headers or {}

    @property
    def id(self) -> str:
        """The event's id, else the AMQP message id, else the first digits of the body's hash: never empty."""
        return self.envelope.id or self.properties.message_id or self.body_hash[:16]

    @property
    def body_hash(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys under which the failure may be on record, the likelier first."""
        try:
            return str(UUID(self.envelope.logicalid or "")), self.body_hash
        except ValueError:
            return (self.body_hash,)  # no service can read it

    @property
    def type(self) -> str | None:
        return self.envelope.type or self.properties.message_type

    @property
    def order(self) -> str | None:
        """The reference of the subject, else its id."""
        return self.envelope.reference or self.envelope.subject or self.properties.correlation_id

    @property
    def parked_at(self) -> datetime | None:
        """The time of parking, to the second; for an unrouted message the time of publishing."""
        return self.death.time if self.death else _aware(self.properties.timestamp)

    @property
    def home(self) -> str | None:
        """The queue that parked it, and the target of a replay; None for a message that was in no queue."""
        if self.lot == UNROUTED:
            return None
        if self.death is not None and self.death.queue:
            return self.death.queue
        return f"{self.lot.removesuffix(LOT_SUFFIX)}.queue" if self.lot.endswith(LOT_SUFFIX) else None

    @property
    def service(self) -> str | None:
        """The service whose table `failures` has its record."""
        return self.home.removesuffix(".queue") if self.home else None

    @property
    def replays(self) -> int:
        return replays(self.headers)

    @property
    def traceparent(self) -> str | None:
        """The trace context of the last publish, from its header."""
        header = self.headers.get(TRACE_HEADER)
        return header if isinstance(header, str) else None

    @property
    def forgery_reason(self) -> str | None:
        """Why the event is not from the service that it names (`sender.forgery_reason`); None if it is genuine.

        A replay replaces the sender: an event that was refused as forged would then be accepted.
        """
        if self.envelope is TOO_DEEP:
            return "nested too deeply to identify the sender"
        source, event_type = self.envelope.source, self.envelope.type
        if source is None or event_type is None:
            return None  # no service can read it
        if self.home is None:
            exchange, routing_key = self.exchange, self.routing_key
        elif self.death is not None:
            exchange, routing_key = self.death.exchange, self.death.routing_key
        elif self.properties.user_id is None:
            return None  # published by an administrator: no service can write to a parking lot
        else:
            exchange, routing_key = "", event_type
        return forgery_reason(
            exchange=exchange,
            routing_key=routing_key,
            user_id=self.properties.user_id,
            source=source,
            event_type=event_type,
        )

    def reason(self, failure: FailureRecord | None) -> str:
        """Why it is parked: the broker's reason unless a service rejected it, and the reason of the service."""
        if self.death is None:
            unknown = (
                f"no queue is bound for {self.routing_key!r}"
                if self.home is None
                else "published to the parking lot directly"
            )
            return failure.reason if failure else unknown
        words = [] if self.death.reason == "rejected" and failure else [self.death.reason]
        return ": ".join([*words, *([failure.reason] if failure else [])])

    def properties_for_redrive(self, run: str, user: str, traceparent: str | None = None) -> RawProperties:
        """Return the properties with which `user` publishes it again: the bytes of its sender, decodable or not.

        Removed are the broker's records of its past, the sender's user (the broker accepts only the user of the
        connection), the expiry (an operator wants the message) and the lists of further queues. A message without a
        message id gets one: the return of a message without an id could not be matched, and the message would be lost.
        `traceparent` replaces that of its sender.

        Raises UndecodableProperties when the bytes cannot be split into fields; no broker accepts such a message.
        """
        fields: dict[str, str | int | None] = {"delivery_mode": 2, "user_id": user, "expiration": None}
        if not self.raw.raw("message_id"):
            fields["message_id"] = self.id if len(self.id.encode()) <= MAX_SHORTSTR else self.body_hash
        headers: dict[str, str | int] = {RUN_HEADER: run, COUNT_HEADER: min(self.replays + 1, MAX_REPLAYS)}
        if traceparent is not None:
            headers[TRACE_HEADER] = traceparent
        return self.raw.revised(
            fields | {"cluster_id": None},
            headers,
            lambda name: name not in _QUEUE_LIST_HEADERS and not name.startswith(_BROKER_HEADERS),
        )


def parked(lot: str, message: Received) -> ParkedMessage:
    """Return the message that `lot` has delivered. Never raises: unreadable parts are None."""
    view = message.properties.view()
    return ParkedMessage(
        lot=lot,
        tag=message.tag,
        body=message.body,
        properties=view.properties,
        exchange=message.exchange,
        routing_key=message.routing_key,
        envelope=_envelope(message.body),
        death=UNREADABLE_DEATH if "headers['x-death']" in view.undecodable else _death(view.properties.headers or {}),
        raw=message.properties,
        undecodable=view.undecodable,
    )


def replays(headers: Mapping[str, Any] | None) -> int:
    """Return how often a message was replayed, according to its headers."""
    count = (headers or {}).get(COUNT_HEADER, 0)
    return count if isinstance(count, int) and 0 <= count <= MAX_REPLAYS else 0


_raw_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _envelope(body: bytes) -> ReadableEnvelope:
    try:
        fields = _raw_fields.decode(body)
    except RecursionError:
        return TOO_DEEP
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ReadableEnvelope()
    return ReadableEnvelope(
        **{name: _text(fields[name]) for name in ReadableEnvelope.__struct_fields__ if name in fields}
    )


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _death(headers: Mapping[str, Any]) -> DeathRecord | None:
    """Return the latest death, which is the first in the header."""
    deaths = headers.get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(latest, dict) or not isinstance(latest.get("queue"), str):
        return None
    keys = latest.get("routing-keys")
    return DeathRecord(
        queue=latest["queue"],
        reason=str(latest.get("reason", "?")),
        time=_aware(latest.get("time")),
        exchange=str(latest.get("exchange", "")),
        routing_key=str(keys[0]) if isinstance(keys, list) and keys else "",
    )


def _aware(time: object) -> datetime | None:
    if not isinstance(time, datetime):
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
