"""k8s/ contains the same objects as the chart, and kustomize accepts it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from devtools import manifests
from devtools.paths import CHECKOUT
from services.registry import PROCESSES
from tests.charts.helm import program
from tests.charts.kubectl import kustomize
from tests.charts.rendering import NEWEST, Object, containers

FOLDER = CHECKOUT / "k8s"
TRACED = {("Deployment", process) for process in PROCESSES}
CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def built(folder: str) -> list[Object]:
    done = kustomize(FOLDER / folder)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def identities(objects: list[Object]) -> set[tuple[str, str]]:
    return {(each["kind"], each["metadata"]["name"]) for each in objects}


def test_the_files_match_the_chart() -> None:
    helm = str(program(NEWEST))
    default = manifests.rendered(helm)
    observed = manifests.rendered(helm, *manifests.OBSERVED)
    expected = {**manifests.manifests(default), **manifests.observability(default, observed)}
    stale = [name for name, text in expected.items() if (FOLDER / name).read_text() != text]
    assert stale == [], "make manifests"


def test_every_file_is_named_in_its_folder() -> None:
    for folder in ("warren", "definitions", "observability"):
        kustomization = yaml.safe_load((FOLDER / folder / "kustomization.yaml").read_text())
        named = kustomization["resources"] + [each["path"] for each in kustomization.get("patches", ())]
        assert sorted(name for name in named if "/" not in name) == sorted(
            file.name for file in (FOLDER / folder).glob("*.yaml") if file.name != "kustomization.yaml"
        )


def test_the_files_have_all_objects_except_those_of_other_hooks() -> None:
    chart = manifests.rendered(str(program(NEWEST)))
    hooks = {key: each["metadata"].get("annotations", {}).get(manifests.HOOK, "") for key, each in enumerate(chart)}
    expected = [each for key, each in enumerate(chart) if not hooks[key] or "pre-install" in hooks[key]]
    left_out = {hooks[key] for key, each in enumerate(chart) if each not in expected}
    assert left_out == {"pre-delete", "pre-upgrade", "test"}
    found = identities(built("warren")) | identities(built("definitions"))
    assert found == identities(expected) | {("Namespace", "warren")}


def test_the_folder_observability_is_the_chart_with_these_servers() -> None:
    chart = manifests.rendered(str(program(NEWEST)), *manifests.OBSERVED)
    hooks = {key: each["metadata"].get("annotations", {}).get(manifests.HOOK, "") for key, each in enumerate(chart)}
    kept = [manifests.plain(each) for key, each in enumerate(chart) if not hooks[key] or "pre-install" in hooks[key]]
    expected = {manifests.identity(each): each for each in kept if each["kind"] != "CustomResourceDefinition"}
    found = {manifests.identity(each): each for each in built("observability") if each["kind"] != "Namespace"}
    assert found.keys() == expected.keys()
    for key, each in expected.items():
        assert normal(found[key]) == normal(each), key


def normal(node: object) -> object:
    """Sorts lists of named elements, which kustomize merges, and drops values that it leaves out."""
    if isinstance(node, dict):
        return {key: normal(value) for key, value in node.items() if value not in ({}, [], None)}
    if isinstance(node, list) and all(isinstance(each, dict) and "name" in each for each in node):
        return sorted((normal(each) for each in node), key=lambda each: str(each["name"]))  # type: ignore[index]
    return [normal(each) for each in node] if isinstance(node, list) else node


def test_a_variable_follows_those_that_it_contains() -> None:
    processes = [each for each in built("observability") if (each["kind"], each["metadata"]["name"][7:]) in TRACED]
    assert len(processes) == len(TRACED)
    for each in processes:
        for container in containers(each["spec"]["template"]["spec"]):
            names = [variable["name"] for variable in container["env"]]
            assert names.index("POD_NAME") < names.index("OTEL_RESOURCE_ATTRIBUTES")


def test_the_files_have_no_trace_of_helm() -> None:
    for each in built("warren"):
        assert "helm" not in yaml.safe_dump(each["metadata"]).lower(), each["metadata"]["name"]


def test_every_namespaced_object_is_in_the_namespace() -> None:
    for each in built("warren"):
        expected = None if each["kind"] in CLUSTER_SCOPED else "warren"
        assert each["metadata"].get("namespace") == expected, each["metadata"]["name"]


def test_a_missing_helm_gives_a_one_line_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "devtools.manifests", "--helm", "no-such-helm", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == "manifests: no-such-helm cannot be run: No such file or directory; name another with --helm\n"


def test_a_refused_chart_is_reported(tmp_path: Path) -> None:
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\necho 'Error: values do not meet the schema' >&2; exit 1\n")
    helm.chmod(0o755)
    with pytest.raises(manifests.ManifestError, match=r"^helm template failed: Error: values do not meet the schema$"):
        manifests.rendered(str(helm))
