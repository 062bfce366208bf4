"""Renders the chart with the real Helm."""

import functools
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from devtools.paths import CHECKOUT
from tests.charts.helm import RELEASES, Release, program

Object = dict[str, Any]
CHART = CHECKOUT / "charts/warren"
OPERATOR_CHART = CHART / "charts/topology-operator"
CASES = {path.stem.removesuffix("-values"): path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
NEWEST = RELEASES[-1]
NAMESPACE, NAME = "shop", "warren"
SECONDS = 60


def helm(release: Release, *arguments: str | Path, values: Object | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(program(release)), *map(str, arguments)]
    text = None
    if values is not None:
        command += ["--values", "-"]
        text = json.dumps(values)
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=SECONDS, check=False)


@functools.cache
def text(case: str, release: Release = NEWEST) -> str:
    """Returns the text that the chart renders with ci/<case>-values.yaml."""
    done = helm(release, "template", NAME, CHART, "--namespace", NAMESPACE, "--values", CASES[case])
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects(rendered: str) -> list[Object]:
    return [each for each in yaml.load_all(rendered, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if each]


@functools.cache
def case(name: str, release: Release = NEWEST) -> list[Object]:
    return objects(text(name, release))


def render(values: Object, name: str = NAME, namespace: str = NAMESPACE) -> list[Object]:
    """Returns the objects that the chart renders with these values."""
    done = helm(NEWEST, "template", name, CHART, "--namespace", namespace, values=values)
    assert done.returncode == 0, done.stderr
    return objects(done.stdout)


def of_kind(bodies: list[Object], *kinds: str) -> list[Object]:
    return [body for body in bodies if body["kind"] in kinds]


def the(bodies: list[Object], kind: str, name: str) -> Object:
    """Returns the object of this kind whose name ends with `name`."""
    (body,) = (each for each in of_kind(bodies, kind) if each["metadata"]["name"].endswith(name))
    return body


def identity(body: Object) -> str:
    metadata = body["metadata"]
    return f"{body['apiVersion']}/{body['kind']}/{metadata.get('namespace', '')}/{metadata['name']}"


def pods(bodies: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Yields name, metadata and spec of every pod template in the objects."""
    for body in bodies:
        name = f"{body['kind']}/{body['metadata']['name']}"
        if body["kind"] == "Pod":
            yield name, body["metadata"], body["spec"]
        elif "template" in (body.get("spec") or {}) and body["apiVersion"] in {"apps/v1", "batch/v1"}:
            template = body["spec"]["template"]
            yield name, template["metadata"], template["spec"]


def containers(spec: Object) -> list[Object]:
    return [*spec.get("initContainers", ()), *spec["containers"]]
