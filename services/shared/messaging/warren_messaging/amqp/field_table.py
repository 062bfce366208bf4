"""Decodes header tables of AMQP 0-9-1 one entry at a time.

The driver decodes a whole table or fails. This module first cuts out each entry by its length, so an undecodable entry
does not hide the others. The only error, for any bytes, is UndecodableProperties.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct
from typing import Any

from warren_messaging.errors import UndecodableProperties

MAX_DEPTH = 64
"""Levels of nested tables and arrays; `x-death` has three."""

_LONG = Struct(">I")
_NUMBERS = {
    ord(kind): Struct(form)
    for kind, form in {
        "t": ">?", "b": ">b", "B": ">B", "s": ">h", "u": ">H", "I": ">i", "i": ">I", "l": ">q", "L": ">q",
        "f": ">f", "d": ">d",
    }.items()
}  # fmt: skip
_SIZES = {kind: form.size for kind, form in _NUMBERS.items()} | {ord("D"): 5, ord("T"): 8, ord("V"): 0, 0: 0}
_SIZED = frozenset(b"SxAF")


def timestamp(data: bytes) -> datetime:
    """Decode an AMQP timestamp: seconds since 1970 or, as some clients write them, milliseconds."""
    seconds = int.from_bytes(data)
    try:
        return datetime.fromtimestamp(seconds if seconds <= 0xFFFFFFFF else seconds / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise UndecodableProperties(f"{seconds} is not a time") from error


def entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the encoded value (type first) of each entry of a table without its length prefix."""
    at = 0
    while at < len(table):
        start = at + 1 + table[at]
        stop = _end(table, start)
        yield table[at + 1 : start], table[start:stop]
        at = stop


def value(encoded: bytes, depth: int = 0) -> Any:
    """Decode one value (type first). Raises UndecodableProperties."""
    kind, data = encoded[0], encoded[1:]
    if kind in _NUMBERS:
        return _NUMBERS[kind].unpack(data)[0]
    if kind in _SIZED:
        return _sized(kind, data[4:], depth)
    if kind == ord("T"):
        return timestamp(data)
    return Decimal(_LONG.unpack_from(data, 1)[0]) * Decimal(10) ** -data[0] if kind == ord("D") else None


def _sized(kind: int, data: bytes, depth: int) -> Any:
    if kind == ord("x"):
        return bytearray(data)
    if kind == ord("S"):
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data
    if depth == MAX_DEPTH:
        raise UndecodableProperties(f"nested in more than {MAX_DEPTH} levels")
    if kind == ord("F"):
        return {text(name): value(each, depth + 1) for name, each in entries(data)}
    values, at = [], 0
    while at < len(data):
        stop = _end(data, at)
        values.append(value(data[at:stop], depth + 1))
        at = stop
    return values


def text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UndecodableProperties(f"{data[:64]!r} is not UTF-8") from error


def shortstr(data: bytes) -> bytes:
    return len(data).to_bytes() + data


def encoded(name: bytes, content: str | int) -> bytes:
    """Encode an entry of a table."""
    if isinstance(content, int):
        return shortstr(name) + b"l" + content.to_bytes(8, signed=True)
    data = content.encode()
    return shortstr(name) + b"S" + _LONG.pack(len(data)) + data


def _end(data: bytes, start: int) -> int:
    """Return the end of the value that begins at `start`."""
    if start >= len(data):
        raise UndecodableProperties("a table ends in the middle of an entry")
    kind = data[start]
    if kind in _SIZES:
        stop = start + 1 + _SIZES[kind]
    elif kind in _SIZED:
        stop = start + 5 + int.from_bytes(data[start + 1 : start + 5])
    else:
        raise UndecodableProperties(f"a value has the unknown type {bytes((kind,))!r}")
    if stop > len(data):
        raise UndecodableProperties("a value is longer than the table that contains it")
    return stop
