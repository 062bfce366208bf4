"""One message in a parking lot: what is known of it, whoever wrote it and however broken it is.

Three witnesses are heard. The body says what it is about, if it can be read at all. The broker's `x-death` header
says which queue gave it up, why and when. The `failures` table of that queue's service has the reason in words; it is
asked by `keys`, because a body that nobody could read is on record under its hash.
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
from warren_messaging.sender import forgery

RUN_HEADER = "x-warren-replay"
"""Which run of `replay` put a message back, so that the same run leaves it alone if it is parked again."""
COUNT_HEADER = "x-warren-replays"
"""How often a message was replayed."""
MAX_REPLAYS = 2**31 - 1

UNROUTED = "unrouted.queue"
"""Holds events that no service binds: not given up by any queue."""
LOT_SUFFIX = ".dlq"
"""How the names of parking lots end."""

MAX_SHORTSTR = 255  # bytes; what a message id may have

_ABOUT_THE_PAST = (b"x-death", b"x-first-death-", b"x-last-death-", b"x-delivery-count", b"x-acquired-count")
_MORE_QUEUES = (b"CC", b"BCC")


class ReadableEnvelope(msgspec.Struct, frozen=True):
    """What could be read of the body; None for what is missing or of another kind."""

    id: str | None = None
    logicalid: str | None = None
    type: str | None = None
    source: str | None = None
    subject: str | None = None
    reference: str | None = None


TOO_DEEP = ReadableEnvelope()
"""Of a body that is nested too deeply to be read here. A service with less on its stack may read it."""


class DeathRecord(msgspec.Struct, frozen=True):
    """The broker's word on how a message came to its parking lot."""

    queue: str
    reason: str
    """rejected, expired, delivery_limit or maxlen."""
    time: datetime | None
    exchange: str
    """The exchange that its sender published it to."""
    routing_key: str


UNREADABLE_DEATH = DeathRecord("", "the broker's note on it cannot be decoded", None, "", "")
"""From no exchange that replays come through: what is parked so stays forged if it was."""


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
    """A message that `lot` has handed out; `tag` is what the lot settles it by."""

    lot: str
    tag: int
    body: bytes
    properties: spec.Basic.Properties
    """Those that can be decoded."""
    exchange: str
    routing_key: str
    envelope: ReadableEnvelope
    death: DeathRecord | None
    raw: RawProperties
    """All of them, as they came."""
    undecodable: Mapping[str, str]
    """Why, for each property and header that cannot be decoded."""

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
        """Under what the failure may be on record, the likelier first."""
        try:
            return str(UUID(self.envelope.logicalid or "")), self.body_hash
        except ValueError:
            return (self.body_hash,)  # no service can read it

    @property
    def type(self) -> str | None:
        return self.envelope.type or self.properties.message_type

    @property
    def order(self) -> str | None:
        """What people call the order, else its id."""
        return self.envelope.reference or self.envelope.subject or self.properties.correlation_id

    @property
    def parked_at(self) -> datetime | None:
        """When the broker parked it, to the second; for an unrouted message, when it was published."""
        return self.death.time if self.death else _aware(self.properties.timestamp)

    @property
    def home(self) -> str | None:
        """The one queue that gave it up, where a replay takes it; None for a message that never had one."""
        if self.lot == UNROUTED:
            return None
        if self.death is not None and self.death.queue:
            return self.death.queue
        return f"{self.lot.removesuffix(LOT_SUFFIX)}.queue" if self.lot.endswith(LOT_SUFFIX) else None

    @property
    def service(self) -> str | None:
        """Whose `failures` table knows of it."""
        return self.home.removesuffix(".queue") if self.home else None

    @property
    def replays(self) -> int:
        return replays(self.headers)

    @property
    def forgery(self) -> str | None:
        """In words, if the event is not from the service that it names (`sender.forgery`).

        A replay replaces the sender, and with it the evidence: an event that was refused as forged would be accepted.
        """
        if self.envelope is TOO_DEEP:
            return "nested too deeply to tell who sent it"
        source, event_type = self.envelope.source, self.envelope.type
        if source is None or event_type is None:
            return None  # no service can read it
        if self.home is None:
            exchange, routing_key = self.exchange, self.routing_key
        elif self.death is not None:
            exchange, routing_key = self.death.exchange, self.death.routing_key
        elif self.properties.user_id is None:
            return None  # put here by an administrator: no service can write to a parking lot
        else:
            exchange, routing_key = "", event_type
        return forgery(
            exchange=exchange,
            routing_key=routing_key,
            user_id=self.properties.user_id,
            source=source,
            event_type=event_type,
        )

    def reason(self, failure: FailureRecord | None) -> str:
        """Why it lies here: the broker's reason unless a service rejected it, and the service's own words."""
        if self.death is None:
            unknown = f"no queue is bound for {self.routing_key!r}" if self.home is None else "put here by hand"
            return failure.reason if failure else unknown
        words = [] if self.death.reason == "rejected" and failure else [self.death.reason]
        return ": ".join([*words, *([failure.reason] if failure else [])])

    def revived(self, run: str, user: str) -> RawProperties:
        """The properties for `user` to publish it with again: the bytes of its sender, decodable or not.

        Dropped are the broker's notes on its past, the sender's user (the broker refuses a user_id other than that of
        the connection), an expiry (an operator has decided that it is wanted after all) and the lists of further
        queues. It gets a message id if it has none: a return without any would go unnoticed, and its message be lost.

        Raises UndecodableProperties when the bytes cannot be split into fields; no broker accepts such a message.
        """
        fields: dict[str, str | int | None] = {"delivery_mode": 2, "user_id": user, "expiration": None}
        if not self.raw.raw("message_id"):
            fields["message_id"] = self.id if len(self.id.encode()) <= MAX_SHORTSTR else self.body_hash
        return self.raw.revised(
            fields | {"cluster_id": None},
            {RUN_HEADER: run, COUNT_HEADER: min(self.replays + 1, MAX_REPLAYS)},
            lambda name: name not in _MORE_QUEUES and not name.startswith(_ABOUT_THE_PAST),
        )


def parked(lot: str, message: Received) -> ParkedMessage:
    """What `lot` has delivered. Never fails: whatever a part does not have is None."""
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
    """How often a message came out of a parking lot, as its headers say."""
    count = (headers or {}).get(COUNT_HEADER, 0)
    return count if isinstance(count, int) and 0 <= count <= MAX_REPLAYS else 0


_loosely = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _envelope(body: bytes) -> ReadableEnvelope:
    try:
        fields = _loosely.decode(body)
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
    """The latest death stands first."""
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
