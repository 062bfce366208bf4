"""Validates objects like an API server: every field is known and has its type. An unknown kind is an error."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from devtools.paths import CHECKOUT
from tests.charts.rendering import Object
from tests.kubernetes.emulator.schema import StructuralSchema

KUBERNETES = "1.31"  # the oldest version that the chart supports; later versions serve the same APIs
TOPOLOGIES = CHECKOUT / "operator/crds/topologies.yaml"
FOREIGN = Path(__file__).with_name("schemas.yaml")
METADATA = {
    "type": "object",
    "required": ["name", "namespace", "labels"],
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}


class UnknownKind(Exception):
    """There is no schema for the kind."""


def check(body: Object) -> None:
    """Raises UnknownKind or the validator's error."""
    _checked(json.dumps(body, sort_keys=True))


@functools.cache
def _checked(text: str) -> None:
    """Caches the check of an object that several renderings contain."""
    body = json.loads(text)
    kind = f"{body['apiVersion']}/{body['kind']}"
    if kind == "warren.dev/v1alpha1/Topology":
        definition = _topology()
        jsonschema.Draft4Validator(_closed(definition)).validate(body)
        StructuralSchema(definition).admitted(body, None)
    elif kind in _foreign():
        jsonschema.Draft202012Validator(_foreign()[kind]).validate(body)
    else:
        try:
            kubernetes_validate.validate(body, KUBERNETES, strict=True)
        except kubernetes_validate.SchemaNotFoundError as error:
            raise UnknownKind(kind) from error


@functools.cache
def _topology() -> Object:
    definition = yaml.safe_load(TOPOLOGIES.read_text())
    schema: Object = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


@functools.cache
def _foreign() -> dict[str, Object]:
    kinds = yaml.safe_load(FOREIGN.read_text())
    shared = kinds.pop("$defs")
    return {
        kind: _closed(
            {
                "type": "object",
                "required": ["apiVersion", "kind", "metadata", "spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": METADATA,
                    "spec": {"type": "object", "properties": spec},
                },
                "$defs": shared,
            }
        )
        for kind, spec in kinds.items()
    }


def _closed(schema: Any) -> Any:
    """Returns the schema with `additionalProperties: false` wherever it names properties."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(each) for key, each in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        if not open_ended:
            closed["additionalProperties"] = False
    return closed
