"""How the two protocols cut their bytes into frames, and which frames a test may want to lose."""

from collections.abc import Callable

Verdict = Callable[[bytes], bool]
"""Given one whole frame from the server: whether it is to be swallowed."""

_METHOD = 1
_BASIC_ACK = b"\x00\x3c\x00\x50"


def split_amqp(buffer: bytearray) -> list[bytes]:
    """Take whole frames off the buffer's front: type (1 byte), channel (2), size (4), payload, end mark."""
    frames = []
    while len(buffer) >= 7 and len(buffer) >= (whole := 8 + int.from_bytes(buffer[3:7], "big")):
        frames.append(bytes(buffer[:whole]))
        del buffer[:whole]
    return frames


def split_postgres(buffer: bytearray) -> list[bytes]:
    """Take whole messages off the buffer's front: type (1 byte), size of itself and the rest (4)."""
    frames = []
    while len(buffer) >= 5 and len(buffer) >= (whole := 1 + int.from_bytes(buffer[1:5], "big")):
        frames.append(bytes(buffer[:whole]))
        del buffer[:whole]
    return frames


def is_confirm(frame: bytes) -> bool:
    """The broker's answer to publishes: it sends basic.ack for nothing else."""
    return frame[0] == _METHOD and frame[7:11] == _BASIC_ACK


def is_commit_reply(message: bytes) -> bool:
    """PostgreSQL says that COMMIT is done."""
    return message[:1] == b"C" and message[5:-1] == b"COMMIT"
