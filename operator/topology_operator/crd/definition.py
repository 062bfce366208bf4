"""The whole CustomResourceDefinition, and its text as `operator/crds/topologies.yaml` holds it."""

from __future__ import annotations

from typing import Any

import yaml

from broker_topology.resource.model import API_VERSION, KIND, Spec
from topology_operator.crd import schema
from topology_operator.crd.status_schema import STATUS

GROUP, VERSION = API_VERSION.split("/")
PLURAL = "topologies"

HEADER = "# Generated from the engine's model: change that, then run `make crds`.\n"


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


COLUMNS = [
    {"name": "Ready", "type": "string", "jsonPath": _ready("status")},
    {"name": "Reason", "type": "string", "jsonPath": _ready("reason")},
    {"name": "Objects", "type": "string", "jsonPath": ".status.summary.text", "description": "held/wanted"},
    {
        "name": "Drift",
        "type": "integer",
        "jsonPath": ".status.drift.repaired",
        "description": "objects put back after somebody else changed them",
    },
    {
        "name": "Compared",
        "type": "date",
        "jsonPath": ".status.lastComparedTime",
        "description": "time since the broker was last compared with the spec",
        "priority": 1,
    },
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Vhost", "type": "string", "jsonPath": ".spec.vhost", "priority": 1},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "priority": 1},
    {"name": "Broker", "type": "string", "jsonPath": ".status.broker.address", "priority": 1},
    {"name": "Message", "type": "string", "jsonPath": _ready("message"), "priority": 1},
]


def definition() -> dict[str, Any]:
    """The object that `kubectl apply` takes."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["topo"],
                "categories": ["all", "warren"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": COLUMNS,
                    "schema": {
                        "openAPIV3Schema": {
                            "description": "What one owner has at a RabbitMQ broker.",
                            "type": "object",
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": schema.of(Spec),
                                "status": STATUS,
                            },
                        }
                    },
                }
            ],
        },
    }


class _Block(yaml.SafeDumper):
    """No anchors: parts that occur twice are written twice, as every reader expects."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rendered() -> str:
    """The same as YAML, always byte for byte."""
    return HEADER + yaml.dump(definition(), Dumper=_Block, sort_keys=False, width=120, allow_unicode=True)
