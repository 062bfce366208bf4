"""Installs the definitions that the tests need at a real API server."""

import yaml

from tests.kubernetes.api_client import ApiClient
from tests.kubernetes.operator_process import ROOT
from topology_operator.helm_hooks import HelmHookClient
from topology_operator.kubernetes.api import authenticate
from topology_operator.kubernetes.objects import Object

DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"
SCHEMA = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
VERSION = {"name": "v1beta1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": SCHEMA}

RABBITMQ_CLUSTER: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "rabbitmqclusters.rabbitmq.com"},
    "spec": {
        "group": "rabbitmq.com",
        "scope": "Namespaced",
        "names": {"kind": "RabbitmqCluster", "plural": "rabbitmqclusters", "singular": "rabbitmqcluster"},
        "versions": [VERSION],
    },
}
"""Replaces the definition of RabbitMQ's cluster operator where that is not installed."""


async def install(api: ApiClient) -> None:
    """Applies the definitions and waits until they are established. They stay after the tests."""
    definitions = [yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text())]
    if await api.get_object(DEFINITIONS, "", RABBITMQ_CLUSTER["metadata"]["name"]) is None:
        definitions.append(RABBITMQ_CLUSTER)
    client = HelmHookClient(authenticate)
    try:
        for definition in definitions:
            await client.apply_crd(definition)
    finally:
        await client.close()
