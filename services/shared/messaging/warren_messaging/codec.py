"""Encodes and decodes events.

An event of the expected type is decoded in one pass. Every other body is decoded in two steps, the envelope and then
its data, so that the reason of a failure names the part that is wrong, and a tolerant reader keeps data of a type that
it does not know.
"""

import re
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import msgspec
import uuid_utils.compat as uuid7s

from warren_messaging.errors import MalformedEvent
from warren_messaging.events import AnyEvent, Catalogue, Event

MAX_BODY = 1024 * 1024
"""Limit of the body of a message in bytes. A larger one is refused when it is announced, and parked by readers."""

# Raw control characters that JSON allows, or escaped ones. An even number of backslashes escapes only backslashes.
_CONTROL = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|(?<!\\)(?:\\\\)*\\(?:[bf]|u00(?:0[0-8bcef]|1[0-9a-f]|7f|[89][0-9a-f]))", re.IGNORECASE
)

_encoder = msgspec.json.Encoder()
_envelopes = msgspec.json.Decoder(Event[msgspec.Raw])


def new_id() -> UUID:
    """Return a UUIDv7: ids made at the same time are close to each other in an index."""
    return uuid7s.uuid7()


def now() -> datetime:
    return datetime.now(UTC)


def encode(event: AnyEvent) -> bytes:
    """Return the body of an event: CloudEvents JSON in UTF-8."""
    return _encoder.encode(event)


def uuid_text(identifier: UUID) -> str:
    """Return `str(identifier)` in a fifth of the time."""
    return _encoder.encode(identifier)[1:-1].decode()


def too_large(size: int) -> str:
    return f"body of {size} bytes is over the limit of {MAX_BODY}"


def require_readable(body: bytes) -> None:
    """Raises MalformedEvent for a body that every reader refuses: too large, not UTF-8, or with control characters
    other than tab, line feed and carriage return.

    The parser checks only the text that it decodes, and the database refuses NUL.
    """
    if len(body) > MAX_BODY:
        raise MalformedEvent(too_large(len(body)))
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise MalformedEvent(f"not JSON: byte {body[error.start]:#x} at {error.start} is not UTF-8") from error
    suspicious = "\\" in text or "\x7f" in text or (not text.isascii() and b"\xc2" in body)
    if suspicious and (found := _CONTROL.search(body)):
        raise MalformedEvent(f"not plain text: a control character at {found.start()}")


class OpaqueEvent(Event[msgspec.Raw], frozen=True, kw_only=True):
    """An event whose data was not decoded."""

    body: bytes
    """The whole event as received."""


class Codec:
    """Decodes the events of a catalogue, a mapping from event types to the classes of their data.

    With `tolerant`, an event of an unknown type becomes an OpaqueEvent; without, it is refused.
    """

    def __init__(self, catalogue: Catalogue, *, tolerant: bool = False) -> None:
        self._decoders = {name: msgspec.json.Decoder(data) for name, data in catalogue.items()}
        self._whole: dict[str, msgspec.json.Decoder[AnyEvent]] = {
            name: msgspec.json.Decoder(cast(Any, Event)[data]) for name, data in catalogue.items()
        }
        self._tolerant = tolerant

    def decode(self, body: bytes, expected_type: str = "") -> AnyEvent:
        """Decode one event, faster if its type is the expected one.

        Raises MalformedEvent with the reason in words: not JSON, not a CloudEvent, unknown type, bad data.
        """
        require_readable(body)
        decoder = self._whole.get(expected_type)
        if decoder is not None:
            try:
                event = decoder.decode(body)
            except (msgspec.DecodeError, RecursionError):
                return self._decode_in_steps(body)
            if event.type == expected_type and event.specversion == "1.0":
                return event
        return self._decode_in_steps(body)

    def _decode_in_steps(self, body: bytes) -> AnyEvent:
        try:
            event = _envelopes.decode(body)
        except msgspec.ValidationError as error:
            raise MalformedEvent(f"not a CloudEvent: {error}") from error
        except msgspec.DecodeError as error:
            raise MalformedEvent(f"not JSON: {error}") from error
        except RecursionError as error:
            raise MalformedEvent("not readable: nested too deeply") from error
        if event.specversion != "1.0":
            raise MalformedEvent(f"CloudEvents version {event.specversion!r} is not 1.0")
        decoder = self._decoders.get(event.type)
        if decoder is None:
            if self._tolerant:
                return OpaqueEvent(**msgspec.structs.asdict(event), body=body)
            raise MalformedEvent(f"event type {event.type!r} is not known here")
        try:
            return msgspec.structs.replace(event, data=decoder.decode(event.data))
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise MalformedEvent(f"data of {event.type}: {error}") from error
        except RecursionError as error:
            raise MalformedEvent(f"data of {event.type}: nested too deeply") from error
