"""The properties of a received message: kept as bytes, decoded when they are read.

A sender can write properties that the driver cannot decode: a time that is not a date, text that is not UTF-8, headers
nested two thousand levels deep. Such a message must not end the connection that receives it, so nothing is decoded on
arrival. A lookup decodes only the field that it names, and raises only UndecodableProperties.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from aiormq import spec

from warren_messaging.amqp import field_table
from warren_messaging.errors import UndecodableProperties

SHORTSTR, TABLE, OCTET, TIMESTAMP = range(4)
KINDS = {
    "content_type": SHORTSTR,
    "content_encoding": SHORTSTR,
    "headers": TABLE,
    "delivery_mode": OCTET,
    "priority": OCTET,
    "correlation_id": SHORTSTR,
    "reply_to": SHORTSTR,
    "expiration": SHORTSTR,
    "message_id": SHORTSTR,
    "timestamp": TIMESTAMP,
    "message_type": SHORTSTR,
    "user_id": SHORTSTR,
    "app_id": SHORTSTR,
    "cluster_id": SHORTSTR,
}
"""The fields in the order of AMQP, with the driver's names. The first field has the highest of 16 flags."""
_FLAGS = {name: 1 << (15 - place) for place, name in enumerate(KINDS)}


class DecodedProperties(msgspec.Struct, frozen=True):
    """The decodable properties of a message, and why the others cannot be decoded."""

    properties: spec.Basic.Properties
    """The fields and headers that could be decoded."""
    undecodable: dict[str, str]
    """The reason for each field ("timestamp") or header ("headers['x-sent']") that could not."""


class RawProperties(msgspec.Struct, eq=False, gc=False):
    """The bytes that a content header frame holds after the size of the body."""

    data: bytes = b"\0\0"
    _fields: dict[str, bytes] | None = None

    @classmethod
    def of(cls, properties: spec.Basic.Properties) -> "RawProperties":
        return cls(properties.marshal())

    def raw(self, name: str) -> bytes | None:
        """Return the bytes of a field, without the length prefix of text and tables; None if it is absent.

        Raises UndecodableProperties when the bytes cannot be split into fields; no broker accepts such a message.
        """
        if self._fields is None:
            self._fields = self._cut()
        return self._fields.get(name)

    def text(self, name: str) -> str | None:
        """Return a text field, None if it is absent."""
        data = self.raw(name)
        try:
            return None if data is None else field_table.text(data)
        except UndecodableProperties as error:
            raise UndecodableProperties(f"{name}: {error}") from error

    def header(self, name: str) -> Any:
        """Return the value of one header, None if it is absent. Other headers may be undecodable."""
        table = self.raw("headers")
        if not table or (key := name.encode()) not in table:
            return None
        try:
            encoded = next((encoded for each, encoded in field_table.entries(table) if each == key), None)
            return None if encoded is None else field_table.value(encoded)
        except UndecodableProperties as error:
            raise UndecodableProperties(f"headers[{name!r}]: {error}") from error

    def view(self) -> DecodedProperties:
        """Decode every decodable field. Never raises."""
        view = DecodedProperties(spec.Basic.Properties(), {})
        try:
            fields = self._cut()
        except UndecodableProperties as error:
            view.undecodable["properties"] = str(error)
            return view
        for name, data in fields.items():
            try:
                setattr(view.properties, name, self._decoded(name, data, view.undecodable))
            except UndecodableProperties as error:
                view.undecodable[name] = str(error)
        return view

    def decode(self) -> spec.Basic.Properties:
        """Decode all fields. Raises UndecodableProperties when one of them cannot be decoded."""
        view = self.view()
        if view.undecodable:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in view.undecodable.items())
            raise UndecodableProperties(f"properties that cannot be decoded: {reasons}")
        return view.properties

    def revised(
        self,
        fields: Mapping[str, str | int | None],
        headers: Mapping[str, str | int],
        keep_header: Callable[[bytes], bool] = lambda _: True,
    ) -> "RawProperties":
        """Return a copy with `fields` replaced (None removes one) and `headers` added; all other bytes are unchanged.

        `keep_header` selects by name which of the present headers stay. Raises UndecodableProperties when the bytes
        cannot be split into fields and headers; no broker accepts such a message.
        """
        kept = dict(self._cut())
        for name, content in fields.items():
            kept.pop(name, None)
            if isinstance(content, str):
                kept[name] = content.encode()
            elif content is not None:
                kept[name] = content.to_bytes(1 if KINDS[name] == OCTET else 8)
        added = {name.encode(): content for name, content in headers.items()}
        table = b"".join(
            field_table.shortstr(name) + encoded
            for name, encoded in field_table.entries(kept.get("headers", b""))
            if name not in added and keep_header(name)
        )
        kept["headers"] = table + b"".join(field_table.encoded(name, content) for name, content in added.items())
        flags = sum(_FLAGS[name] for name in kept)
        return RawProperties(
            flags.to_bytes(2) + b"".join(_with_length(KINDS[name], kept[name]) for name in KINDS if name in kept)
        )

    @staticmethod
    def _decoded(name: str, data: bytes, undecodable: dict[str, str]) -> Any:
        kind = KINDS[name]
        if kind == SHORTSTR:
            return field_table.text(data)
        if kind == OCTET:
            return data[0]
        if kind == TIMESTAMP:
            return field_table.timestamp(data)
        headers = {}
        for key, encoded in field_table.entries(data):
            try:
                headers[field_table.text(key)] = field_table.value(encoded)
            except UndecodableProperties as error:
                undecodable[f"headers[{key.decode(errors='backslashreplace')!r}]"] = str(error)
        return headers

    def _cut(self) -> dict[str, bytes]:
        data, fields, at = self.data, {}, 2
        try:
            for name, kind in _layout(data[0] << 8 | data[1]):
                if not kind:  # SHORTSTR
                    start = at + 1
                    at = start + data[at]
                elif kind == TABLE:
                    start = at + 4
                    at = start + int.from_bytes(data[at:start])
                else:
                    start = at
                    at += 1 if kind == OCTET else 8
                fields[name] = data[start:at]
        except IndexError:
            at = -1
        if at != len(data):
            raise UndecodableProperties(f"the fields fill {at} bytes of {len(data)}" if at >= 0 else "they are cut off")
        return fields


@lru_cache(maxsize=256)
def _layout(flags: int) -> tuple[tuple[str, int], ...]:
    if flags & 0b11:
        raise UndecodableProperties("they announce fields that AMQP 0-9-1 does not have")
    return tuple((name, kind) for name, kind in KINDS.items() if flags & _FLAGS[name])


def _with_length(kind: int, data: bytes) -> bytes:
    if kind == SHORTSTR:
        return field_table.shortstr(data)
    return len(data).to_bytes(4) + data if kind == TABLE else data
