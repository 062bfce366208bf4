"""The chart as plain manifests, for use without Helm: `make manifests` writes k8s/warren and k8s/definitions.

Objects that Helm would create before an installation become ordinary objects. Those of other hooks (upgrade, removal,
test) are left out; docs/kubernetes.md describes what replaces them.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from devtools.paths import CHECKOUT

Object = dict[str, Any]
CHART = CHECKOUT / "charts" / "warren"
FOLDER = CHECKOUT / "k8s"
NAMESPACE = "warren"
HOOK = "helm.sh/hook"
HEAD = "# Made by `make manifests` from charts/warren and its default values: change those.\n"
FILES = {
    "CustomResourceDefinition": "definitions/topologies.yaml",
    "NetworkPolicy": "warren/network.yaml",
    "RabbitmqCluster": "warren/rabbitmq.yaml",
    "Topology": "warren/topology.yaml",
}
"""File of each kind. Objects that create secrets go to warren/provision.yaml, all others to warren/services.yaml."""


class _Dumper(yaml.SafeDumper):
    """Writes strings of several lines as blocks."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_str)


class ManifestError(Exception):
    """Helm cannot be run or refuses the chart; `str()` is ready to print."""


def rendered(helm: str) -> list[Object]:
    """Return the objects that Helm would install. Raises ManifestError."""
    command = [helm, "template", "warren", str(CHART), "--namespace", NAMESPACE, "--include-crds"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise ManifestError(f"{helm} cannot be run: {error.strerror}; name another with --helm") from error
    if done.returncode:
        raise ManifestError(f"helm template failed: {done.stderr.strip()}")
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def manifests(objects: list[Object]) -> Mapping[str, str]:
    """Map each file below k8s/ to its text."""
    files: dict[str, list[Object]] = {}
    for each in objects:
        metadata = each["metadata"]
        hooks = str(metadata.get("annotations", {}).get(HOOK, "")).split(",")
        if hooks != [""] and "pre-install" not in hooks:
            continue
        made = FILES.get(each["kind"], "warren/services.yaml" if hooks == [""] else "warren/provision.yaml")
        files.setdefault(made, []).append(_plain(each))
    return {
        name: HEAD + "".join("---\n" + yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=120) for each in group)
        for name, group in sorted(files.items())
    }


def _plain(each: Object) -> Object:
    """Remove annotations and labels of Helm."""
    kept = {key: text for key, text in each["metadata"].get("annotations", {}).items() if not key.startswith(HOOK)}
    each["metadata"].pop("annotations", None)
    if kept:
        each["metadata"]["annotations"] = kept
    template = each.get("spec", {}).get("template", {}) if each["kind"] in {"Deployment", "StatefulSet", "Job"} else {}
    for metadata in (each["metadata"], template.get("metadata", {})):
        labels = metadata.get("labels", {})
        labels.pop("helm.sh/chart", None)
        if "app.kubernetes.io/managed-by" in labels:
            labels["app.kubernetes.io/managed-by"] = "kustomize"
    return each


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m devtools.manifests", description="Write k8s/ from the chart.")
    parser.add_argument("--helm", default="helm", metavar="PROGRAM")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="default: %(default)s")
    options = parser.parse_args()
    try:
        files = manifests(rendered(options.helm))
    except ManifestError as error:
        print(f"manifests: {error}", file=sys.stderr)
        return 1
    for name, text in files.items():
        file = options.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
