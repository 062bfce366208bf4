"""docs/topology.md matches the code."""

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
from topology_operator.reconcile.ready_condition import REASONS
from topology_operator.settings import TopologyOperatorSettings

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "operator/topology_operator"
REASON = (
    r'(?:reason[ =,message]*= ?|UnresolvedReference\(\s*|"(?:True|False|Unknown)", |_event\(body, [^,]+, )"([A-Z]\w+)"'
)
"""Reasons of conditions and events in the source."""

TEXT = (ROOT / "docs/topology.md").read_text()
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]
TOPOLOGIES = [block for block in BLOCKS if block.get("kind") == "Topology"]


def test_the_table_of_fields_is_generated_from_the_model() -> None:
    between = TEXT.split("<!-- fields -->\n")[1].split("<!-- end of fields -->")[0]
    assert between == crd.reference_table.table(), "run `make crds`"


def test_every_field_has_a_description() -> None:
    assert [path for path, schema, _ in crd.reference_table.rows() if not schema.get("description")] == []


@pytest.mark.parametrize("block", TOPOLOGIES, ids=lambda block: block["metadata"]["name"])
def test_every_example_is_valid(block: dict[str, Any]) -> None:
    assert refusals(block) == ""
    topology, found = decode(block, Topology, Origin("docs"))
    assert topology is not None, found
    assert check([LoadedTopology(Origin("docs"), topology)]) == []


def test_every_field_is_in_an_example() -> None:
    specs = [block["spec"] for block in TOPOLOGIES]
    paths = [path for path, _, _ in crd.reference_table.rows()]
    missing = [path for path in paths if not any(_has(spec, *path.split(".")) for spec in specs)]
    assert missing == ["broker.secretRef.namespace"]  # has the same meaning as clusterRef.namespace


def test_every_setting_reason_event_and_metric_is_documented() -> None:
    names = [f"TOPOLOGY_OPERATOR_{field.upper()}" for field in TopologyOperatorSettings.__struct_fields__]
    folders = (PACKAGE / name for name in ("broker", "observability", "reconcile"))
    source = "".join(file.read_text() for folder in folders for file in folder.glob("*.py"))
    reasons = {*re.findall(REASON, source), *(reason for reason, _ in REASONS.values()), "ClusterNotFound"}
    reasons -= {"False", "BrokerNotSet"}  # the API server refuses a Topology without a broker
    assert {"Synced", "Deleting", "InSync", "SecretNotFound", "ObjectsOrphaned", "DriftRepaired"} <= reasons
    names += [*reasons, *re.findall(r'"(topology_[a-z_]+)"', source)]
    assert [name for name in names if f"`{name}`" not in TEXT] == []


def test_links_have_a_target() -> None:
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-") for line in _headings()}
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (ROOT / "docs" / target).exists(), target


def _headings() -> list[str]:
    return re.findall(r"^#+ .*$", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL), re.MULTILINE)


def _has(value: dict[str, Any], name: str, *rest: str) -> bool:
    """Returns whether the value has this path of the reference table."""
    if name == "<name>":
        parts = list(value.values())
    elif name.endswith("[]"):
        parts = value.get(name.removesuffix("[]"), [])
    else:
        parts = [value[name]] if name in value else []
    return any(not rest or _has(part, *rest) for part in parts)
