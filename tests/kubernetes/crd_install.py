"""What a real API server needs before the tests: the definitions."""

from pathlib import Path

import yaml

from tests.kubernetes.api_client import ApiClient, ApiError, Object
from tests.kubernetes.operator_process import ROOT

DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY = "application/apply-patch+yaml"

RABBITMQ_CLUSTER: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rabbitmqclusters.rabbitmq.com"},
    "spec": {
        "group": "rabbitmq.com",
        "scope": "Namespaced",
        "names": {"kind": "RabbitmqCluster", "plural": "rabbitmqclusters", "singular": "rabbitmqcluster"},
        "versions": [
            {
                "name": "v1beta1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
"""Stands for the cluster operator's own, where that is not installed: only what is read of it matters here."""


async def install(cluster: ApiClient, folder: Path = ROOT / "operator/crds") -> None:
    """Applies the project's definition, and the stand-in where there is no RabbitmqCluster. Both stay."""
    definition = yaml.safe_load((folder / "topologies.yaml").read_text())
    await _apply(cluster, definition)
    name = RABBITMQ_CLUSTER["metadata"]["name"]
    if await cluster.get(DEFINITIONS, "", name) is None:
        await _apply(cluster, RABBITMQ_CLUSTER)
    for wanted in (definition["metadata"]["name"], name):
        await cluster.until(DEFINITIONS, "", wanted, _established)


async def _apply(cluster: ApiClient, body: Object) -> None:
    path = f"/apis/{DEFINITIONS}/{body['metadata']['name']}?fieldManager=warren-tests&force=true"
    try:
        await cluster.send("PATCH", path, body, APPLY)
    except ApiError as exc:
        raise AssertionError(f"the API server refuses {body['metadata']['name']}: {exc}") from exc


def _established(body: Object) -> bool:
    conditions = body.get("status", {}).get("conditions") or ()  # null while nobody has looked at it
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
