"""Short ways to write a topology, and to see what is said about one."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

import broker_topology

HEAD = {"apiVersion": "warren.dev/v1alpha1", "kind": "Topology", "metadata": {"name": "shop"}}


def _text(spec: dict[str, Any], **head: Any) -> str:
    return yaml.safe_dump(HEAD | {"spec": {"vhost": "v"} | spec} | head)


@pytest.fixture
def text() -> Callable[..., str]:
    """A resource as YAML."""
    return _text


@pytest.fixture
def loaded() -> Callable[..., list[broker_topology.LoadedTopology]]:
    """The resources made of these specs, each as its own file `a.yaml`, `b.yaml`, ..."""

    def load(*specs: dict[str, Any]) -> list[broker_topology.LoadedTopology]:
        return [
            item
            for letter, spec in zip("abc", specs, strict=False)
            for item in broker_topology.parse(_text(spec), f"{letter}.yaml")
        ]

    return load


@pytest.fixture
def complaints(loaded: Callable[..., list[broker_topology.LoadedTopology]]) -> Callable[..., list[str]]:
    """Everything said about these specs: `path: message`, with the file in front when there are several."""

    def found(*specs: dict[str, Any]) -> list[str]:
        try:
            items = loaded(*specs)
        except broker_topology.InvalidTopology as refused:
            findings = list(refused.findings)
        else:
            findings = broker_topology.check(items)
        return [str(each) if len(specs) > 1 else f"{each.path}: {each.message}" for each in findings]

    return found
