"""Encodes and decodes events, with the shared contracts alone."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from services.shared.contracts import CATALOGUE, AnyEvent, Event, EventData

_envelopes = msgspec.json.Decoder(Event[msgspec.Raw])
_data = {name: msgspec.json.Decoder(kind) for name, kind in CATALOGUE.items()}
_encoder = msgspec.json.Encoder()


def decode(body: bytes) -> AnyEvent:
    event = _envelopes.decode(body)
    return msgspec.structs.replace(event, data=_data[event.type].decode(event.data))


def encode(event: AnyEvent) -> bytes:
    return _encoder.encode(event)


def new_event(service: str, data: EventData, subject: UUID, cause: AnyEvent | None) -> AnyEvent:
    event_id = uuid7()
    return Event(
        specversion="1.0",
        id=event_id,
        source=f"/warren/{service}",
        type=data.TYPE,
        subject=subject,
        time=datetime.now(UTC),
        logicalid=event_id,
        sourcesequence=1,
        causationid=None if cause is None else cause.id,
        data=data,
    )
