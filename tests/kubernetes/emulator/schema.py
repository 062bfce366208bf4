"""Pruning, defaults and validation of custom resources, as the API server does them.

Supports the part of structural schemas that the Topology definition uses. Anything else in a schema is an error, so
that no rule is silently ignored.
"""

import re
from typing import Any

import cel

from tests.kubernetes.emulator.objects import Object, StatusError

KNOWN = {
    "type", "format", "description", "properties", "additionalProperties", "items", "required", "enum", "default",
    "minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "pattern", "maxItems", "maxProperties",
    "x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
}  # fmt: skip
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


class StructuralSchema:
    """The `openAPIV3Schema` of one version."""

    def __init__(self, schema: Object) -> None:
        self._schema = schema

    def admitted(self, body: Object, before: Object | None) -> Object:
        """Returns the object as it is stored. Raises `StatusError` with all errors."""
        kept = {key: value for key, value in body.items() if key in {"apiVersion", "kind", "metadata"}}
        rest = {key: value for key, value in body.items() if key not in kept}
        properties = self._schema["properties"]
        rest = {key: prune_and_default(value, properties[key]) for key, value in rest.items() if key in properties}
        problems = [f"{name}: Required value" for name in self._schema.get("required", ()) if name not in rest]
        for key, value in rest.items():
            problems += _problems(value, (before or {}).get(key), properties[key], key)
        if problems:
            name = body.get("metadata", {}).get("name")
            raise StatusError(422, "Invalid", f'Topology.warren.dev "{name}" is invalid: ' + ", ".join(problems))
        return kept | rest


def prune_and_default(value: Any, schema: Object) -> Any:
    """Drops unknown fields and fills in defaults."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return value
    if isinstance(value, dict) and "properties" in schema:
        properties = schema["properties"]
        value = {
            k: v for k, v in value.items() if k in properties and (v is not None or "default" not in properties[k])
        }
        value |= {k: each["default"] for k, each in properties.items() if "default" in each and k not in value}
        return {k: prune_and_default(v, properties[k]) for k, v in value.items()}
    if isinstance(value, dict) and "additionalProperties" in schema:
        return {k: prune_and_default(v, schema["additionalProperties"]) for k, v in value.items()}
    if isinstance(value, list) and "items" in schema:
        return [prune_and_default(each, schema["items"]) for each in value]
    return value


def _problems(value: Any, before: Any, schema: Object, path: str) -> list[str]:
    assert schema.keys() <= KNOWN, f"{path}: the emulator does not know {schema.keys() - KNOWN}"
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return []
    expected = TYPES[schema["type"]]
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        return [f"{path}: Invalid value: must be of type {schema['type']}"]
    found = list(_plain(value, schema, path))
    if isinstance(value, dict):
        found += [f"{path}.{name}: Required value" for name in schema.get("required", ()) if name not in value]
        for key, each in value.items():
            inside = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if inside is not None:
                old = before.get(key) if isinstance(before, dict) else None
                found += _problems(each, old, inside, f"{path}.{key}")
    elif isinstance(value, list):
        for position, each in enumerate(value):
            found += _problems(each, None, schema["items"], f"{path}[{position}]")
    return found or list(_rules(value, before, schema, path))


def _plain(value: Any, schema: Object, path: str) -> Any:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: Unsupported value: {value!r}: supported values: {', '.join(schema['enum'])}"
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"{path}: Invalid value: should match '{schema['pattern']}'"
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", 10**9):
            yield f"{path}: Invalid value: length out of bounds"
    elif isinstance(value, list):
        if len(value) > schema["maxItems"]:
            yield f"{path}: Too many: must have at most {schema['maxItems']} items"
        yield from _duplicates(value, schema, path)
    elif isinstance(value, dict):
        if len(value) > schema.get("maxProperties", 10**9):
            yield f"{path}: Too many: must have at most {schema['maxProperties']} items"
    elif not isinstance(value, bool):
        least, most = schema.get("minimum"), schema.get("maximum")
        if least is not None and (value < least or (value == least and schema.get("exclusiveMinimum"))):
            yield f"{path}: Invalid value: {value} is too small"
        if most is not None and value > most:
            yield f"{path}: Invalid value: {value} is too large"


def _duplicates(value: list[Any], schema: Object, path: str) -> Any:
    kind = schema["x-kubernetes-list-type"]
    keys = schema.get("x-kubernetes-list-map-keys", ())
    seen: list[Any] = []
    for each in value if kind != "atomic" else ():
        item_key = [each.get(key) for key in keys] if kind == "map" and isinstance(each, dict) else each
        if item_key in seen:
            yield f"{path}: Duplicate value"
        seen.append(item_key)


def _rules(value: Any, before: Any, schema: Object, path: str) -> Any:
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" in rule["rule"] and before is None:
            continue
        if not cel.evaluate(rule["rule"], {"self": value, "oldSelf": before}):
            yield f"{path}{rule.get('fieldPath', '')}: Invalid value: {rule['message']}"
