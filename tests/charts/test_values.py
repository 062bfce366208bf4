"""Values, schema and comments agree."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.charts.rendering import CHART, OPERATOR_CHART, Object

CHARTS = pytest.mark.parametrize("chart", [CHART, OPERATOR_CHART], ids=lambda chart: chart.name)
FREE = {"global", "claims", "nodeAffinity", "podAffinity", "podAntiAffinity"}
"""Keys of the schema that Helm or Kubernetes define; they have no default."""
ELSEWHERE = "topology-operator"  # has a schema of its own


def from_values(values: Object, path: str = "") -> Iterator[str]:
    for key, value in values.items():
        if key in {ELSEWHERE, "global"} or path == ".components":
            continue
        yield f"{path}.{key}"
        if isinstance(value, dict):
            yield from from_values(value, f"{path}.{key}")


def from_schema(schema: Object, whole: Object, path: str = "") -> Iterator[str]:
    if "$ref" in schema:
        schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    for key, value in schema.get("properties", {}).items():
        if key not in FREE | {ELSEWHERE}:
            yield f"{path}.{key}"
            yield from from_schema(value, whole, f"{path}.{key}")


@CHARTS
def test_schema_and_values_have_the_same_keys(chart: Path) -> None:
    schema = json.loads((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    declared = set(from_schema(schema, schema))
    written = set(from_values(values))
    open_maps = (".requests.", ".limits.", "From.", ".labels.", ".environment.")
    assert declared - written == set()
    assert {each for each in written - declared if not any(part in each for part in open_maps)} == set()


@CHARTS
def test_the_schema_refuses_unknown_keys(chart: Path) -> None:
    def each(node: object) -> Iterator[Object]:
        if isinstance(node, dict):
            yield node
        for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from each(child)

    known = [
        node
        for node in each(json.loads((chart / "values.schema.json").read_text()))
        if isinstance(node.get("properties"), dict) and node.get("type") == "object"
        # more keys of a known kind, or (of `global`) of other charts
        if not isinstance(node.get("additionalProperties"), dict)
    ]
    assert len(known) > 5
    assert all(node["additionalProperties"] is False for node in known)


@CHARTS
def test_every_block_of_values_has_a_comment(chart: Path) -> None:
    """Each top-level key has a comment in the lines around it."""
    lines = (chart / "values.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z][\w-]*:", line):
            block = "\n".join(lines[max(0, number - 2) : number + 3])
            assert "#" in block, f"line {number + 1}: {line}"
