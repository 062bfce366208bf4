"""The chart as plain manifests, for use without Helm: `make manifests` writes k8s/warren, k8s/definitions, and
k8s/observability, which adds the servers of `observability.enabled` to k8s/warren.

Objects that Helm would create before an installation become ordinary objects. Those of other hooks (upgrade, removal,
test) are left out; docs/kubernetes.md describes what replaces them.
"""

import argparse
import copy
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
OBSERVED = ("--set", "observability.enabled=true")
DASHBOARDS = CHART / "dashboards"
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


def rendered(helm: str, *options: str) -> list[Object]:
    """Return the objects that Helm would install. Raises ManifestError."""
    command = [helm, "template", "warren", str(CHART), "--namespace", NAMESPACE, "--include-crds", *options]
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
        if not _kept(each):
            continue
        hooked = HOOK in each["metadata"].get("annotations", {})
        made = FILES.get(each["kind"], "warren/provision.yaml" if hooked else "warren/services.yaml")
        files.setdefault(made, []).append(plain(each))
    return {name: HEAD + _written(group) for name, group in sorted(files.items())}


def observability(base: list[Object], observed: list[Object]) -> Mapping[str, str]:
    """Map each file of k8s/observability to its text: the objects that `observed` adds to `base`, and its changes.

    Dashboards are left out: kustomize makes their ConfigMaps of the chart's files.
    """
    before, after = ({identity(each): plain(each) for each in group if _kept(each)} for group in (base, observed))
    dashboards = {f"warren-dashboard-{file.stem}" for file in DASHBOARDS.glob("*.json")}
    added = [each for key, each in after.items() if key not in before and each["metadata"]["name"] not in dashboards]
    changes = [_identified(each) | {"$patch": "delete"} for key, each in before.items() if key not in after]
    for key, each in after.items():
        if key in before and each != before[key]:
            changes.append(_identified(each) | difference(before[key], each))
    files = {"observability/servers.yaml": _written(added), "observability/changes.yaml": _written(changes)}
    return {name: HEAD.replace("its default values", "observability.enabled") + text for name, text in files.items()}


def identity(each: Object) -> tuple[str, str, str]:
    return each["apiVersion"], each["kind"], each["metadata"]["name"]


def difference(old: Object, new: Object) -> Object:
    """Return the strategic merge patch from `old` to `new`, which may only add to lists of named elements."""
    changed: Object = {}
    for key, value in new.items():
        known = old.get(key)
        if value == known:
            continue
        if isinstance(value, dict) and isinstance(known, dict):
            changed[key] = difference(known, value)
        elif isinstance(value, list) and isinstance(known, list) and all("name" in each for each in value):
            named = {each["name"]: each for each in known}
            pairs = [(named.get(each["name"], {}), each) for each in value]
            changed[key] = [{"name": each["name"]} | difference(was, each) for was, each in pairs if was != each]
        else:
            changed[key] = value
    return changed


def _identified(each: Object) -> Object:
    names = {key: each["metadata"][key] for key in ("name", "namespace") if key in each["metadata"]}
    return {"apiVersion": each["apiVersion"], "kind": each["kind"], "metadata": names}


def _kept(each: Object) -> bool:
    hooks = str(each["metadata"].get("annotations", {}).get(HOOK, "")).split(",")
    return hooks == [""] or "pre-install" in hooks


def _written(group: list[Object]) -> str:
    return "".join("---\n" + yaml.dump(each, Dumper=_Dumper, sort_keys=False, width=120) for each in group)


def plain(each: Object) -> Object:
    """Return the object without annotations and labels of Helm."""
    each = copy.deepcopy(each)
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
        default = rendered(options.helm)
        files = {**manifests(default), **observability(default, rendered(options.helm, *OBSERVED))}
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
