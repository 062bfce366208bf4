"""docs/topology.md says what is so."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from broker_topology.findings import Origin
from broker_topology.resource.decode import decode
from broker_topology.resource.model import LoadedTopology, Topology
from broker_topology.rules.validation import check
from tests.unit.topology_operator.test_definition import refusals
from topology_operator import crd
from topology_operator.reconcile import ready_condition
from topology_operator.settings import TopologyOperatorSettings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/topology.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
TOPOLOGIES = [block for block in BLOCKS if block.get("kind") == "Topology"]


def test_the_table_of_fields_is_the_models() -> None:
    between = TEXT.split("<!-- fields -->\n")[1].split("<!-- end of fields -->")[0]
    assert between == crd.reference_table.table(), "run `make crds`"


def test_no_field_is_without_a_meaning() -> None:
    assert [path for path, schema, _ in crd.reference_table.rows() if not schema.get("description")] == []


@pytest.mark.parametrize("block", TOPOLOGIES, ids=lambda block: block["metadata"]["name"])
def test_every_example_is_taken(block: dict[str, Any]) -> None:
    assert refusals(block) == ""
    topology, found = decode(block, Topology, Origin("docs"))
    assert topology is not None, found
    assert check([LoadedTopology(Origin("docs"), topology)]) == []


def test_every_field_is_in_an_example() -> None:
    shown = {path for block in TOPOLOGIES for path in _paths(block["spec"], _schema())}
    missing = {path for path, _, _ in crd.reference_table.rows()} - shown
    assert missing == {"broker.secretRef.namespace"}, "the same as clusterRef.namespace"


def test_every_setting_reason_and_metric_is_named() -> None:
    for field in TopologyOperatorSettings.__struct_fields__:
        assert f"`TOPOLOGY_OPERATOR_{field.upper()}`" in TEXT
    for reason in {word for _, word in ready_condition._REASONS} | ready_condition.PERMANENT:
        assert f"`{reason}`" in TEXT or reason == "BrokerNotSet", f"{reason}: the API server never lets that happen"
    source = (ROOT / "operator/topology_operator/observability/metrics.py").read_text()
    for metric in re.findall(r'"(topology_[a-z_]+)"', source):
        assert f"`{metric}`" in TEXT


def test_links_lead_somewhere() -> None:
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-") for line in _headings()}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (ROOT / "docs" / target).exists(), target


def _headings() -> list[str]:
    return re.findall(r"^#+ .*$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), re.MULTILINE)


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec: dict[str, Any] = schema["properties"]["spec"]
    return spec


def _paths(value: dict[str, Any], schema: dict[str, Any], path: str = "") -> set[str]:
    found: set[str] = set()
    for name, inside in value.items():
        here = f"{path}.{name}" if path else name
        found.add(here)
        part = schema["properties"][name]
        values = part.get("additionalProperties", {})
        if "type" in values:
            for each in inside.values():
                found |= _paths(each, values, f"{here}.<name>")
        elif "properties" in part.get("items", {}):
            for each in inside:
                found |= _paths(each, part["items"], f"{here}[]")
        elif "properties" in part:
            found |= _paths(inside, part, here)
    return found
