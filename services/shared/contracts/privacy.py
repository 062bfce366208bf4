"""Removes the values from an event that its contract marks as secret or personal: see `values.Privacy`."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from warren_messaging.events import EventData

REMOVED = "***"

_Marks = bool | Mapping[str, "_Marks"]
"""True: the value is removed; a mapping: the marks of an object's members; False: nothing is removed."""


def redacted(body: bytes, data: type[EventData]) -> bytes:
    """Returns the event `body`, whose data has the type `data`, with REMOVED in place of each marked value.

    Other values keep their bytes. A marked value that is not of its type is removed completely.
    """
    marks = _marks(data)
    return _redacted(body, {"data": marks}) if marks else body


@cache
def _marks(data: type[EventData]) -> _Marks:
    return _marks_of(inspect.type_info(data))


def _marks_of(kind: inspect.Type) -> _Marks:
    match kind:
        case inspect.Metadata():
            return "privacy" in (kind.extra or {}) or _marks_of(kind.type)
        case inspect.UnionType():
            return next((marks for marks in map(_marks_of, kind.types) if marks), False)
        case inspect.ListType():
            return _marks_of(kind.item_type)
        case inspect.StructType():
            members = {field.encode_name: _marks_of(field.type) for field in kind.fields}
            return {name: marks for name, marks in members.items() if marks} or False
    return False


def _redacted(raw: bytes, marks: _Marks) -> bytes:
    try:
        value = msgspec.json.decode(raw, type=dict[str, msgspec.Raw] | list[msgspec.Raw] | str | float | bool | None)
    except msgspec.ValidationError:  # a number beyond all floats, which JSON allows
        value = REMOVED
    return msgspec.json.encode(_without(value, marks))


def _without(value: Any, marks: _Marks) -> Any:
    if isinstance(value, list) and isinstance(marks, Mapping):
        return [msgspec.Raw(_redacted(bytes(each), marks)) for each in value]
    if isinstance(value, dict) and isinstance(marks, Mapping):
        hidden = {name: msgspec.Raw(_redacted(bytes(value[name]), marks[name])) for name in marks if name in value}
        return value | hidden
    return None if value is None else REMOVED
