"""The API server of these tests: the emulator, or with WARREN_E2E=1 the one that KUBECONFIG names."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import kopf
import pytest
import yaml

from devtools.servers.servers import Servers
from tests.kubernetes.api_client import ApiClient
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import REAL_API_SERVER, OperatorEnv, operator_env
from tests.kubernetes.operator_process import ROOT, OperatorProcess
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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselects the tests that need the other API server, so that they are not counted as passed."""
    other = "emulated" if REAL_API_SERVER else "real"
    deselected = [item for item in items if item.get_closest_marker(other) is not None]
    items[:] = [item for item in items if item not in deselected]
    config.hook.pytest_deselected(items=deselected)


@pytest.fixture
async def emulator() -> AsyncIterator[ApiServerEmulator]:
    """Runs in every test, and is unused if the API server is a real one."""
    async with ApiServerEmulator() as running:
        running.install(yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text()))
        yield running


async def install_definitions(api: ApiClient) -> None:
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


@pytest.fixture
async def api(emulator: ApiServerEmulator) -> AsyncIterator[ApiClient]:
    connection = authenticate() if REAL_API_SERVER else kopf.ConnectionInfo(server=emulator.url, token="admin-token")
    client = ApiClient(connection)
    if REAL_API_SERVER:
        await install_definitions(client)
    yield client
    await client.close()


@pytest.fixture
async def env(api: ApiClient, servers: Servers, quick_counts: None, tmp_path: Path) -> AsyncIterator[OperatorEnv]:
    """After the test, each line of the operator's log must be JSON, without credentials or stack traces."""
    async with operator_env(api, servers.broker.endpoints, tmp_path) as opened:
        yield opened
        log = opened.logs()
    assert "Traceback" not in log, log
    for line in log.splitlines():
        assert {"timestamp", "level", "service", "event"} <= json.loads(line).keys(), line
    assert servers.broker.endpoints.admin_password not in log


@pytest.fixture
async def operator(env: OperatorEnv) -> OperatorProcess:
    """A running operator for the test's namespace."""
    return await env.start_operator()
