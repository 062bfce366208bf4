"""msgspec structs as a structural OpenAPI schema, with the limits and rules of `validation_rules`.

Everything that can grow has a limit: limits keep a resource below etcd's maximum, and the API server refuses a CEL rule
whose worst case has no bound.
"""

from typing import Any

import msgspec
from msgspec import inspect

from topology_operator.crd import docstrings
from topology_operator.crd.field_descriptions import FIELD_DESCRIPTIONS
from topology_operator.crd.validation_rules import ANY_VALUE, LIST_TYPES, MAX_ARGUMENTS, REQUIRED, RULES

Schema = dict[str, Any]


def of(struct: type[msgspec.Struct]) -> Schema:
    """Returns the schema of a struct and of everything below it. Raises TypeError for a type without a schema."""
    info = inspect.type_info(struct)
    if not isinstance(info, inspect.StructType):
        raise TypeError(f"{struct} is not a struct")
    return _struct(info)


def _struct(info: inspect.StructType) -> Schema:
    name = info.cls.__name__
    texts, docs = FIELD_DESCRIPTIONS.get(name, {}), docstrings.of_fields(info.cls)
    required = [field.encode_name for field in info.fields if field.required] + REQUIRED.get(name, [])
    properties: dict[str, Schema] = {}
    for field in info.fields:
        schema = _type(field.type, name, field.encode_name)
        text = texts.get(field.encode_name) or docs.get(field.name) or _struct_text(field.type)
        if text:
            schema = {"description": text, **schema}
        if (default := _default(field)) is not None:
            schema["default"] = default
        properties[field.encode_name] = schema
    schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = sorted(required)
    if name in RULES:
        schema["x-kubernetes-validations"] = [dict(rule) for rule in RULES[name]]
    return schema


def _type(kind: inspect.Type, owner: str, field: str) -> Schema:  # noqa: PLR0911 - one line for each kind
    match kind:
        case inspect.UnionType(types=types):
            (only,) = (each for each in types if not isinstance(each, inspect.NoneType))
            return _type(only, owner, field)
        case inspect.StructType():
            return _struct(kind)
        case inspect.DictType(value_type=inspect.AnyType(), max_length=limit):
            return {"type": "object", "maxProperties": limit or MAX_ARGUMENTS, "additionalProperties": dict(ANY_VALUE)}
        case inspect.DictType(value_type=value, max_length=int(limit)):
            return {"type": "object", "maxProperties": limit, "additionalProperties": _type(value, owner, field)}
        case inspect.ListType(item_type=item, max_length=int(limit)):
            merge = LIST_TYPES.get((owner, field), {"x-kubernetes-list-type": "atomic"})
            return {"type": "array", "maxItems": limit, **merge, "items": _type(item, owner, field)}
        case inspect.LiteralType(values=values):
            return {"type": "string", "enum": list(values)}
        case inspect.StrType(max_length=int(limit)):
            least = {"minLength": kind.min_length} if kind.min_length else {}
            pattern = {"pattern": kind.pattern} if kind.pattern else {}
            return {"type": "string", **least, "maxLength": limit, **pattern}
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer", "format": "int64", **_range(kind)}
        case inspect.FloatType():
            return {"type": "number", "format": "double", **_range(kind)}
    raise TypeError(f"{owner}.{field}: no schema for {kind}; strings, lists and maps need a max_length")


def _range(kind: inspect.IntType | inspect.FloatType) -> Schema:
    found: Schema = {}
    if kind.ge is not None:
        found["minimum"] = kind.ge
    if kind.gt is not None:
        found |= {"minimum": kind.gt, "exclusiveMinimum": True}
    if kind.le is not None:
        found["maximum"] = kind.le
    if kind.lt is not None:
        found |= {"maximum": kind.lt, "exclusiveMaximum": True}
    return found


def _default(field: inspect.Field) -> Any:
    """Returns plain values, and `{}` for a struct whose fields have defaults; None for empty lists and maps."""
    if field.default is msgspec.NODEFAULT:
        return None
    if isinstance(field.default, bool | int | float | str):
        return field.default
    if isinstance(field.type, inspect.StructType) and any(_default(each) is not None for each in field.type.fields):
        return {}
    return None


def _struct_text(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        return next(filter(None, map(_struct_text, kind.types)), "")
    return docstrings.of_struct(kind.cls) if isinstance(kind, inspect.StructType) else ""
