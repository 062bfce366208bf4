"""The API server of these tests: the emulator, or with WARREN_E2E=1 the one that KUBECONFIG names."""

from collections.abc import AsyncIterator
from pathlib import Path

import kopf
import pytest
import yaml

from devtools.servers.servers import Servers
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.emulator.server import Emulator
from tests.kubernetes.installation import install
from tests.kubernetes.operating import ROOT
from tests.kubernetes.site import REAL, Site, site
from topology_operator.credentials import connect


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only one of the two can show is left out of the other's run: deselected, and never counted as passed."""
    other = "emulated" if REAL else "real"
    left_out = [item for item in items if item.get_closest_marker(other) is not None]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """Running, but unused where the tests are for a real API server."""
    async with Emulator() as running:
        running.install(yaml.safe_load((ROOT / "operator/crds/topologies.yaml").read_text()))
        yield running


@pytest.fixture
async def cluster(emulator: Emulator) -> AsyncIterator[Cluster]:
    connection = connect() if REAL else kopf.ConnectionInfo(server=emulator.url, token="admin-token")
    async with Cluster(connection).open() as opened:
        if REAL:
            await install(opened)
        yield opened


@pytest.fixture
async def place(cluster: Cluster, servers: Servers, quick_counts: None, tmp_path: Path) -> AsyncIterator[Site]:
    """After the test the operator's log must be free of credentials and of stack traces."""
    async with site(cluster, servers.broker.address, tmp_path) as own:
        yield own
        log = own.logs()
    assert "Traceback" not in log, log
    assert servers.broker.address.admin_password not in log
