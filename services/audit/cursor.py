"""A position in the log as text that a client hands back and need not understand."""

import base64
import binascii
import struct
from datetime import UTC, datetime, timedelta
from uuid import UUID

LENGTH = 32  # characters

_FORMAT = struct.Struct(">q16s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Position = tuple[datetime, UUID]
"""An event's time, to the microsecond, and its id."""


def to_text(position: Position) -> str:
    time, identity = position
    return base64.urlsafe_b64encode(_FORMAT.pack((time - _EPOCH) // timedelta(microseconds=1), identity.bytes)).decode()


def from_text(text: str) -> Position:
    """Raises ValueError when `text` was not made by `to_text`."""
    try:
        microseconds, identity = _FORMAT.unpack(base64.urlsafe_b64decode(text))
        return _EPOCH + timedelta(microseconds=microseconds), UUID(bytes=identity)
    except (binascii.Error, struct.error, OverflowError) as error:
        raise ValueError("not a position in the log") from error
