"""Converts plain data to structs and reports every error at once.

`msgspec.convert` stops at its first error. This module walks the struct types itself, so an author with three typos
sees three messages.
"""

import math
import re
from collections.abc import Callable, Iterator, Sized
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from broker_topology.findings import Finding, Origin, did_you_mean

T = TypeVar("T", bound=msgspec.Struct)
Parts = tuple[str | int, ...]
"""Names of fields and keys, and positions in lists."""


def decode(data: object, struct: type[T], origin: Origin) -> tuple[T | None, list[Finding]]:
    """Returns the struct, or None with every error in `data`."""
    findings: list[Finding] = []
    for parts, message in _errors(data, inspect.type_info(struct), ()):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
        subject = (str(parts[1]), parts[2]) if len(parts) > 2 and parts[0] == "spec" else None
        findings.append(Finding(origin, path, message, subject))
    if findings:
        return None, findings
    return msgspec.convert(data, struct, strict=True), []


def _errors(value: Any, expected: inspect.Type, path: Parts) -> Iterator[tuple[Parts, str]]:
    if isinstance(expected, inspect.UnionType):
        if value is None and any(isinstance(kind, inspect.NoneType) for kind in expected.types):
            return
        (expected,) = (kind for kind in expected.types if not isinstance(kind, inspect.NoneType))
    if isinstance(expected, inspect.StructType | inspect.DictType) and not isinstance(value, dict):
        yield path, f"must be a mapping, not {_kind(value)}"
    elif isinstance(expected, inspect.ListType) and not isinstance(value, list):
        yield path, f"must be a list, not {_kind(value)}"
    elif isinstance(expected, inspect.StructType):
        yield from _struct_errors(value, expected, path)
    elif isinstance(expected, inspect.DictType):
        yield from _mapping_errors(value, expected, path)
    elif isinstance(expected, inspect.ListType):
        yield from _size_errors(value, expected, path)
        for position, item in enumerate(value):
            yield from _errors(item, expected.item_type, (*path, position))
    elif isinstance(expected, inspect.AnyType):
        yield from _plain_errors(value, path)
    else:
        yield from _value_errors(value, expected, path)


def _struct_errors(value: dict[Any, Any], expected: inspect.StructType, path: Parts) -> Iterator[tuple[Parts, str]]:
    fields = {field.encode_name: field for field in expected.fields}
    for name, item in value.items():
        here = (*path, str(name))
        if name not in fields:
            yield here, f"unknown field{did_you_mean(str(name), fields)}"
        else:
            yield from _errors(item, fields[name].type, here)
    for name, field in fields.items():
        if field.required and name not in value:
            yield (*path, name), "is required"


def _mapping_errors(value: dict[Any, Any], expected: inspect.DictType, path: Parts) -> Iterator[tuple[Parts, str]]:
    yield from _size_errors(value, expected, path)
    for name, item in value.items():
        if not isinstance(name, str):
            yield path, f"the key {name!r} must be a string; put it in quotes"
        else:
            yield from _errors(item, expected.value_type, (*path, name))


def _size_errors(
    value: Sized, expected: inspect.DictType | inspect.ListType, path: Parts
) -> Iterator[tuple[Parts, str]]:
    if expected.max_length is not None and len(value) > expected.max_length:
        yield path, f"has {len(value)} entries; at most {expected.max_length} fit into one resource, so use several"


def _plain_errors(value: object, path: Parts) -> Iterator[tuple[Parts, str]]:
    """Checks free-form arguments, which are sent as JSON; YAML has more types (dates, sets, infinities)."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                yield path, f"the key {name!r} must be a string; put it in quotes"
            else:
                yield from _plain_errors(item, (*path, name))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _plain_errors(item, (*path, position))
    elif isinstance(value, float) and not math.isfinite(value):
        yield path, f"must be a finite number, not {value}"
    elif not isinstance(value, str | int | float | bool | None):
        yield path, f"must be a string, a number, a list or a mapping, not {_kind(value)}; put it in quotes"


def _value_errors(value: object, expected: inspect.Type, path: Parts) -> Iterator[tuple[Parts, str]]:
    if isinstance(expected, inspect.LiteralType):
        if value not in expected.values:
            allowed = ", ".join(str(item) for item in expected.values)
            found = "empty" if value is None else repr(value)
            yield path, f"must be one of {allowed}, not {found}{did_you_mean(str(value), map(str, expected.values))}"
        return
    check = _SCALARS.get(type(expected))
    if check is not None and (problem := check(value, expected)):
        yield path, problem


def _string_problem(value: object, expected: Any) -> str | None:
    if not isinstance(value, str):
        return f"must be a string, not {_kind(value)}"
    if expected.pattern and not re.search(expected.pattern, value):
        return f"{value!r} does not match {expected.pattern}"
    if expected.min_length is not None and len(value) < expected.min_length:
        return "must not be empty"
    if expected.max_length is not None and len(value) > expected.max_length:
        return f"is {len(value)} characters long; at most {expected.max_length} are possible"
    return None


def _number_problem(value: object, expected: Any) -> str | None:
    whole = isinstance(expected, inspect.IntType)
    expected_type = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return f"must be {expected_type}, not {_kind(value)}"
    if expected.ge is not None and value < expected.ge:
        return f"must be at least {expected.ge}, not {value}"
    if expected.gt is not None and value <= expected.gt:
        return f"must be more than {expected.gt}, not {value}"
    if expected.le is not None and value > expected.le:
        return f"must be at most {expected.le}, not {value}"
    return None


_SCALARS: dict[type, Callable[[object, Any], str | None]] = {
    inspect.StrType: _string_problem,
    inspect.IntType: _number_problem,
    inspect.FloatType: _number_problem,
    inspect.BoolType: lambda value, _: (
        None if isinstance(value, bool) else f"must be true or false, not {_kind(value)}"
    ),
}


def _kind(value: object) -> str:
    """Returns the name of the type of this value in YAML."""
    if value is None:
        return "empty"
    names = {bool: "true or false", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "a mapping" if isinstance(value, dict) else type(value).__name__)
