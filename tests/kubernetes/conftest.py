"""The API server of these tests: the emulator, or with WARREN_E2E=1 the one that KUBECONFIG names."""

from collections.abc import AsyncIterator
from pathlib import Path

import kopf
import pytest
import yaml

from devtools.servers.servers import Servers
from tests.kubernetes.api_client import ApiClient
from tests.kubernetes.crd_install import install
from tests.kubernetes.emulator.server import ApiServerEmulator
from tests.kubernetes.environment import REAL_API_SERVER, OperatorEnv, site
from tests.kubernetes.operator_process import ROOT
from topology_operator.kubernetes.api import authenticate


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only one of the two can show is left out of the other's run: deselected, and never counted as passed."""
    other = "emulated" if REAL_API_SERVER else "real"
    left_out = [item for item in items if item.get_closest_marker(other) is not None]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
async def emulator() -> AsyncIterator[ApiServerEmulator]:
    """Running, but unused where the tests are for a real API server."""
    async with ApiServerEmulator() as running:
        running.install(yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text()))
        yield running


@pytest.fixture
async def cluster(emulator: ApiServerEmulator) -> AsyncIterator[ApiClient]:
    connection = authenticate() if REAL_API_SERVER else kopf.ConnectionInfo(server=emulator.url, token="admin-token")
    async with ApiClient(connection).open() as opened:
        if REAL_API_SERVER:
            await install(opened)
        yield opened


@pytest.fixture
async def env(cluster: ApiClient, servers: Servers, quick_counts: None, tmp_path: Path) -> AsyncIterator[OperatorEnv]:
    """After the test the operator's log must be free of credentials and of stack traces."""
    async with site(cluster, servers.broker.address, tmp_path) as own:
        yield own
        log = own.logs()
    assert "Traceback" not in log, log
    assert servers.broker.address.admin_password not in log
