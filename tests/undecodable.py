"""Message properties that a publisher can write and RabbitMQ stores, but that AMQP clients cannot decode."""

import random
from struct import pack

from aiormq import spec

from warren_messaging.amqp.properties import KINDS, OCTET, SHORTSTR, TABLE, RawProperties

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

SIZES = {b"t": 1, b"b": 1, b"s": 2, b"I": 4, b"l": 8, b"f": 4, b"d": 8, b"D": 5, b"T": 8, b"V": 0}


def random_properties(rng: random.Random) -> RawProperties:
    """Properties that RabbitMQ accepts: fields and headers of random bytes, with correct order and lengths."""
    flags, fields = 0, b""
    for name, kind in KINDS.items():
        # The broker validates these fields.
        if name in {"user_id", "expiration", "delivery_mode", "cluster_id"} or rng.random() < 0.5:
            continue
        flags |= FLAGS[name]
        if kind == TABLE:
            table = b"".join(_header(rng.randbytes(rng.randrange(1, 20)), _value(rng)) for _ in range(4))
            fields += pack(">I", len(table)) + table
        elif kind == SHORTSTR:
            fields += _header(rng.randbytes(rng.randrange(40)), b"")
        else:
            fields += rng.randbytes(1 if kind == OCTET else 8)
    return RawProperties(pack(">H", flags) + fields)


def _value(rng: random.Random, depth: int = 0) -> bytes:
    kind = rng.choice([*SIZES, b"S", b"x", b"A", b"F"])
    if kind in b"fd":  # RabbitMQ closes the connection of a publisher that sends NaN or infinity
        return kind + pack(f">{kind.decode()}", rng.uniform(-1e9, 1e9))
    if kind in SIZES:
        return kind + (b"\1" if kind == b"t" else rng.randbytes(SIZES[kind]))
    content = b""
    if kind in b"Sx":
        content = rng.randbytes(rng.randrange(30))
    elif depth < 5:
        for _ in range(rng.randrange(4)):
            value = _value(rng, depth + 1)
            content += value if kind == b"A" else _header(rng.randbytes(rng.randrange(1, 9)), value)
    return kind + pack(">I", len(content)) + content
