"""k8s/ contains the same objects as the chart, and kustomize accepts it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from devtools import manifests
from devtools.paths import CHECKOUT
from tests.charts.helm import program
from tests.charts.kubectl import kustomize
from tests.charts.rendering import NEWEST, Object

FOLDER = CHECKOUT / "k8s"
CLUSTER_SCOPED = {"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def built(folder: str) -> list[Object]:
    done = kustomize(FOLDER / folder)
    assert done.returncode == 0, done.stderr
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def identities(objects: list[Object]) -> set[tuple[str, str]]:
    return {(each["kind"], each["metadata"]["name"]) for each in objects}


def test_the_files_match_the_chart() -> None:
    expected = manifests.manifests(manifests.rendered(str(program(NEWEST))))
    stale = [name for name, text in expected.items() if (FOLDER / name).read_text() != text]
    assert stale == [], "make manifests"


def test_every_file_is_named_in_its_folder() -> None:
    for folder in ("warren", "definitions"):
        named = yaml.safe_load((FOLDER / folder / "kustomization.yaml").read_text())["resources"]
        assert sorted(named) == sorted(
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
