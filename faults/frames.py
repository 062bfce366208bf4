"""Splits the byte streams of AMQP and PostgreSQL into frames, and recognises the frames that tests drop."""

from collections.abc import Callable

FrameMatcher = Callable[[bytes], bool]
"""Decides for one whole frame of the server whether to drop it."""

_METHOD = 1
_BASIC_ACK = b"\x00\x3c\x00\x50"


def split_amqp(buffer: bytearray) -> list[bytes]:
    """Remove whole frames from the buffer's front: type (1 byte), channel (2), size (4), payload, end mark."""
    return _split(buffer, size_at=3, overhead=8)


def split_postgres(buffer: bytearray) -> list[bytes]:
    """Remove whole messages from the buffer's front: type (1 byte), size of itself and the payload (4), payload."""
    return _split(buffer, size_at=1, overhead=1)


def _split(buffer: bytearray, *, size_at: int, overhead: int) -> list[bytes]:
    frames = []
    head = size_at + 4
    while len(buffer) >= head:
        length = overhead + int.from_bytes(buffer[size_at:head], "big")
        if len(buffer) < length:
            break
        frames.append(bytes(buffer[:length]))
        del buffer[:length]
    return frames


def is_confirm(frame: bytes) -> bool:
    """Whether this is the broker's basic.ack, which it sends only to confirm publishes."""
    return frame[0] == _METHOD and frame[7:11] == _BASIC_ACK


def is_commit_reply(message: bytes) -> bool:
    """Whether PostgreSQL reports a finished COMMIT."""
    return message[:1] == b"C" and message[5:-1] == b"COMMIT"
