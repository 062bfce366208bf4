"""The tutorial of broker-topology, followed with the installed package on a real broker."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from broker_topology import ManagementApi
from broker_topology.broker.management_api import path
from broker_topology.broker.ownership import remove
from devtools.distributions.build import FOLDERS
from devtools.distributions.environment import EmptyEnvironment
from devtools.paths import CHECKOUT
from devtools.servers.servers import Servers
from tests.packages.tutorial import follow

PAGE = (CHECKOUT / FOLDERS["broker-topology"] / "README.md").read_text()


@pytest.fixture
async def api(servers: Servers) -> AsyncIterator[ManagementApi]:
    address = servers.broker.endpoints
    login = (address.admin_username, address.admin_password)
    async with ManagementApi(address.management_url, *login, ca_file=address.ca_file) as opened:
        yield opened
        await opened.delete(path("vhosts", "weather"))
        for user in ("alerter", "station"):
            await opened.delete(path("users", user))
        await remove(opened, "weather")


async def test_the_tutorial(
    servers: Servers, api: ManagementApi, environment: Callable[..., EmptyEnvironment], tmp_path: Path
) -> None:
    address = servers.broker.endpoints
    (tmp_path / "admin.password").write_text(address.admin_password)
    (tmp_path / "ca.pem").write_bytes(address.ca_file.read_bytes())
    text = PAGE.replace("https://localhost:15671", address.management_url)
    text = text.replace("USERNAME=admin", f"USERNAME={address.admin_username}")
    commands = follow(text, tmp_path, environment().variables)
    for word in ("pip install", "check", "plan", "apply", "export", "--prune"):
        assert any(word in command for command in commands), word
