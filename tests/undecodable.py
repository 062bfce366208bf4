"""Properties that a sender can write, that RabbitMQ stores, and that AMQP clients fail to decode."""

from struct import pack

from aiormq import spec

from services.shared.messaging.properties import RawProperties

DEPTH = 2000
LATIN = b"Gr\xfc\xdfe"


def _header(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + value


def _headers(*entries: bytes) -> RawProperties:
    table = b"".join(entries)
    return RawProperties(b"\x20\x00" + pack(">I", len(table)) + table)


def _text(flag: int) -> RawProperties:
    return RawProperties(pack(">HB", flag, len(LATIN)) + LATIN)


def _nested(kind: bytes, entry: bytes) -> RawProperties:
    value = b"t\x01"
    for _ in range(DEPTH):
        content = entry + value
        value = kind + pack(">I", len(content)) + content
    return _headers(_header(b"deep", value))


FLAGS = spec.Basic.Properties.flags

UNDECODABLE = {
    "timestamp in microseconds": RawProperties(pack(">HQ", FLAGS["timestamp"], 1_772_000_000_000_000)),
    "timestamp of 2^63": RawProperties(pack(">HQ", FLAGS["timestamp"], 2**63)),
    "timestamp header beyond the year 9999": _headers(_header(b"x-sent", b"T" + pack(">Q", 1_772_000_000_000_000))),
    "timestamp header in an array": _headers(_header(b"x-sent", b"A" + pack(">IcQ", 9, b"T", 2**60))),
    "header name": _headers(_header(LATIN, b"t\x01")),
    "header name in a table": _headers(_header(b"in", b"F" + pack(">I", 8) + _header(LATIN, b"t\x01"))),
    "tables in tables": _nested(b"F", b"\x01a"),
    "arrays in arrays": _nested(b"A", b""),
    **{name: _text(FLAGS[name]) for name in (
        "app_id", "message_id", "message_type", "content_type", "correlation_id", "reply_to",
    )},
}  # fmt: skip
