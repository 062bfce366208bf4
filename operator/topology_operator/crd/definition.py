"""The CustomResourceDefinition, and its text as `operator/crds/topologies.yaml` holds it."""

from typing import Any

import yaml

from broker_topology.resource.model import KIND, Spec
from topology_operator.crd import schema
from topology_operator.crd.status_schema import STATUS
from topology_operator.kubernetes.objects import GROUP, PLURAL, VERSION

HEADER = "# Generated from the engine's model: change that, then run `make crds`.\n"


def _column(name: str, path: str, kind: str = "string", description: str = "", **more: Any) -> dict[str, Any]:
    column = {"name": name, "type": kind, "jsonPath": path} | more
    return column | {"description": description} if description else column


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


COLUMNS = [
    _column("Ready", _ready("status")),
    _column("Reason", _ready("reason")),
    _column("Objects", ".status.summary.text", description="synced/desired"),
    _column("Drift", ".status.drift.repaired", "integer", "objects repaired after a change from outside"),
    _column("Compared", ".status.lastComparedTime", "date", "time since the last comparison", priority=1),
    _column("Age", ".metadata.creationTimestamp", "date"),
    _column("Vhost", ".spec.vhost", priority=1),
    _column("Mode", ".spec.mode", priority=1),
    _column("Broker", ".status.broker.address", priority=1),
    _column("Message", _ready("message"), priority=1),
]


def spec_schema() -> schema.Schema:
    return schema.of(Spec)


def definition() -> dict[str, Any]:
    """Returns the object for `kubectl apply`."""
    root = {
        "description": "What one owner has at a RabbitMQ broker.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec_schema(),
            "status": STATUS,
        },
    }
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": COLUMNS,
        "schema": {"openAPIV3Schema": root},
    }
    names = {
        "kind": KIND,
        "listKind": f"{KIND}List",
        "plural": PLURAL,
        "singular": KIND.lower(),
        "shortNames": ["topo"],
        "categories": ["all", "warren"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


class _Dumper(yaml.SafeDumper):
    """Writes no anchors, which many readers of manifests do not expect."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rendered() -> str:
    """Returns the definition as YAML, always byte for byte the same."""
    return HEADER + yaml.dump(definition(), Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
