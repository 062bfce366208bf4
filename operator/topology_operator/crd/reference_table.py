"""The table of all fields in `docs/topology.md`."""

from collections.abc import Iterator
from typing import Any

from topology_operator.crd.definition import spec_schema

HEAD = "| field | type | default | meaning |\n|---|---|---|---|"

FieldRow = tuple[str, dict[str, Any], bool]
"""Dotted path below `spec`, schema, and whether the field is required. Map keys are `<name>`, list entries `[]`."""


def table() -> str:
    """Returns Markdown."""
    return "\n".join([HEAD, *(_row(*each) for each in rows())]) + "\n"


def rows() -> Iterator[FieldRow]:
    yield from _below(spec_schema(), "")


def _below(schema: dict[str, Any], path: str) -> Iterator[FieldRow]:
    for name, inside in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, inside, name in schema.get("required", ())
        values = inside.get("additionalProperties", {})
        if "type" in values:
            yield from _below(values, f"{here}.<name>")
        elif "items" in inside:
            yield from _below(inside["items"], f"{here}[]")
        else:
            yield from _below(inside, here)


def _row(path: str, schema: dict[str, Any], required: bool) -> str:
    default = schema.get("default")
    shown = "required" if required else "" if default in (None, {}) else f"`{_yaml(default)}`"
    text = " ".join(schema.get("description", "").split()).replace("|", "\\|")
    return f"| `{path}` | {_kind(schema)} | {shown} | {text} |"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema["type"] == "array":
        return f"list, at most {schema['maxItems']:,}"
    if "additionalProperties" in schema:
        return f"map, at most {schema['maxProperties']:,}"
    if "minimum" in schema and "maximum" in schema:
        least = f"more than {schema['minimum']}" if schema.get("exclusiveMinimum") else str(schema["minimum"])
        return f"{schema['type']}, {least} to {schema['maximum']}"
    return str(schema["type"])


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "''" if value == "" else str(value)
