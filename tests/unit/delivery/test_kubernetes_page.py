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


def test_the_resource_figures_match_the_chart() -> None:
    text = (ROOT / "k8s" / "warren" / "services.yaml").read_text() + (
        ROOT / "k8s" / "warren" / "rabbitmq.yaml"
    ).read_text()
    processor = memory = 0.0
    for each in yaml.safe_load_all(text):
        if each["kind"] in {"Deployment", "StatefulSet"}:
            containers = each["spec"]["template"]["spec"]["containers"]
            count = each["spec"].get("replicas", 1)
        elif each["kind"] == "RabbitmqCluster":
            containers, count = [each["spec"]], each["spec"]["replicas"]
        else:
            continue
        for container in containers:
            requested = container["resources"]["requests"]
            processor += count * _number(requested["cpu"])
            memory += count * _number(requested["memory"]) / 2**30
    assert f"about {processor:.1f} CPUs and {memory:.1f} GiB" in PAGE


def _number(text: str) -> float:
    units = {"m": 0.001, "Mi": 2.0**20, "Gi": 2.0**30}
    number, unit = re.fullmatch(r"([\d.]+)(\w*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * units.get(unit, 1)
