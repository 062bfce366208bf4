"""The values, make targets and files that docs/kubernetes.md names exist."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "charts" / "warren" / "values.yaml").read_text())
OPERATOR = ROOT / "charts" / "warren" / "charts" / "topology-operator" / "values.yaml"
VALUES["topology-operator"] = yaml.safe_load(OPERATOR.read_text()) | VALUES["topology-operator"]


def values() -> list[str]:
    """Names of chart values in the page: in --set, and between backticks."""
    inline = re.findall(r"`([a-z][A-Za-z-]*(?:\.(?:[A-Za-z]+|<name>))+)(?:: [^`]+)?`", PAGE)
    return sorted({*re.findall(r"--set ([\w.-]+)=", PAGE), *(each for each in inline if each.split(".")[0] in VALUES)})


@pytest.mark.parametrize("path", values())
def test_every_named_value_exists(path: str) -> None:
    found = VALUES
    for key in path.split("."):
        assert isinstance(found, dict)
        found = next(iter(found.values())) if key == "<name>" else found[key]


def test_values_are_found() -> None:
    assert {"rabbitmq.mode", "rabbitmq.replicas", "auth.existingSecret", "image.prefix"} <= set(values())


def test_every_named_make_target_exists() -> None:
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", PAGE, re.MULTILINE))
    assert named == {"images", "manifests", "e2e", "e2e-operator"}
    assert named <= targets


@pytest.mark.parametrize("folder", re.findall(r"-k (k8s/\w+)", PAGE) + re.findall(r"(k8s/kind/\w+\.yaml)", PAGE))
def test_every_applied_file_exists(folder: str) -> None:
    assert (ROOT / folder).exists()


def test_every_named_object_is_in_the_manifests() -> None:
    text = "".join(file.read_text() for file in (ROOT / "k8s" / "warren").glob("*.yaml"))
    names = {each["metadata"]["name"] for each in yaml.safe_load_all(text) if each and "metadata" in each}
    for named in ("warren-provision", "warren-postgresql", "warren-payment"):
        assert named in PAGE
        assert named in names
    # The Cluster Operator adds "-server-0" to the name of the RabbitmqCluster.
    assert "warren-rabbitmq-server-0" in PAGE
    assert "warren-rabbitmq" in names


SIZES = {
    row: (cpu, memory.replace("iB", "i").replace(" ", ""))
    for row, cpu, memory in re.findall(r"^\| ([\w ]+) \| [^|]+ \| (\d+m)[^|]* \| ([\d.]+ [MG]iB), ", PAGE, re.MULTILINE)
}
"""CPU and memory requests by row of the page's table."""
ROWS = {
    "warren-topology-operator": "topology operator",
    "warren-rabbitmq": "broker",
    "warren-postgresql": "database",
    "warren-sinks": "sinks",
}


def test_the_resource_figures_match_the_chart() -> None:
    found: dict[str, set[tuple[str, str]]] = {}
    for file in ("services.yaml", "rabbitmq.yaml"):
        for each in yaml.safe_load_all((ROOT / "k8s" / "warren" / file).read_text()):
            if each["kind"] in {"Deployment", "StatefulSet", "RabbitmqCluster"}:
                spec = each["spec"]
                for container in [spec] if "template" not in spec else spec["template"]["spec"]["containers"]:
                    requests = container["resources"]["requests"]
                    row = ROWS.get(each["metadata"]["name"], "services")
                    found.setdefault(row, set()).add((requests["cpu"], requests["memory"]))
    assert found == {row: {size} for row, size in SIZES.items()}
