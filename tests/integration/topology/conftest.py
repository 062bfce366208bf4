"""A virtual host and user names of its own for every test."""

import re
import secrets
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiormq
import pytest
import yaml
from aiormq.abc import AbstractChannel

import broker_topology
from broker_topology import Credentials, LoadedTopology, ManagementApi, SecretDirectory, TopologyResult
from broker_topology.broker.management_api import path
from broker_topology.broker.ownership import records, remove
from broker_topology.credentials.secrets import credentials_in
from broker_topology.resource.manifests import with_spec
from devtools.servers.endpoints import BrokerEndpoints
from devtools.servers.servers import Servers

Api = TypeVar("Api", bound=ManagementApi)


class Broker:
    """The real broker with a virtual host and users of one test (users belong to the whole broker)."""

    def __init__(self, endpoints: BrokerEndpoints, folder: Path) -> None:
        self.endpoints = endpoints
        self.suffix = secrets.token_hex(4)
        self.vhost = f"test-{self.suffix}"
        self.secrets = SecretDirectory(folder / "secrets")
        self.secrets_dir = folder / "secrets"
        self.password_file = folder / "admin.password"
        self.password_file.write_text(endpoints.admin_password)
        self._users: set[str] = set()

    def user_name(self, user: str) -> str:
        self._users.add(f"{user}-{self.suffix}")
        return f"{user}-{self.suffix}"

    def delete_later(self, users: Iterable[str]) -> None:
        """Deletes these users, too, after the test."""
        self._users.update(users)

    def topology(self, spec: dict[str, Any], name: str = "test") -> list[LoadedTopology]:
        """Returns one resource in this test's virtual host, with its users renamed."""
        head = {"apiVersion": "warren.dev/v1alpha1", "kind": "Topology", "metadata": {"name": name}}
        return self.in_test_vhost(broker_topology.parse(yaml.safe_dump(head | {"spec": {"vhost": "v"} | spec}), name))

    def in_test_vhost(self, topologies: list[LoadedTopology]) -> list[LoadedTopology]:
        """Return the resources, moved to this test's virtual host and with the names of its users."""
        return [
            with_spec(
                item, vhost=self.vhost, users={self.user_name(name): user for name, user in item.spec.users.items()}
            )
            for item in topologies
        ]

    async def credentials(self, secret_name: str) -> Credentials:
        """Returns the credential in a Secret of this test."""
        found = credentials_in(secret_name, (await self.secrets.contents(secret_name)).data)
        assert found is not None
        return found

    def api(self, kind: type[Api] = ManagementApi, login: tuple[str, str] | None = None, **options: Any) -> Api:
        """Returns a client of this class for this login, by default the administrator's."""
        endpoints = self.endpoints
        options = {"ca_file": endpoints.ca_file} | options
        username, password = login or (endpoints.admin_username, endpoints.admin_password)
        return kind(options.pop("url", endpoints.management_url), username, password, **options)

    @asynccontextmanager
    async def channel(self, user: str = "", password: str = "") -> AsyncIterator[AbstractChannel]:
        """An AMQP channel of this user, by default the administrator, in the test's virtual host."""
        user, password = (user, password) if user else (self.endpoints.admin_username, self.endpoints.admin_password)
        context = ssl.create_default_context(cafile=self.endpoints.ca_file)
        url = self.endpoints.amqps_url(user, password, self.vhost)
        connection = await aiormq.connect(url, context=context)
        try:
            yield await connection.channel()
        finally:
            await connection.close()

    def in_second_vhost(self, spec: dict[str, Any], name: str) -> LoadedTopology:
        """Return one Topology, moved to the second virtual host of this test."""
        (moved,) = broker_topology.with_vhost(self.topology(spec, name), f"{self.vhost}-2")
        return moved

    async def reconcile(
        self, desired: dict[str, Any] | list[LoadedTopology], name: str = "test", **options: Any
    ) -> TopologyResult:
        """Reconciles a spec, or loaded resources, by the owner `name`; `api` and `peers` may be given."""
        topologies = self.topology(desired, name) if isinstance(desired, dict) else desired
        return await self._as_owner(broker_topology.reconcile, topologies, name, {"secrets": self.secrets} | options)

    async def finalize(self, spec: dict[str, Any], name: str = "test", **options: Any) -> TopologyResult:
        (resource,) = self.topology(spec, name)
        return await self._as_owner(broker_topology.finalize, resource, name, options)

    async def _as_owner(self, function: Any, subject: Any, name: str, options: dict[str, Any]) -> TopologyResult:
        async with AsyncExitStack() as stack:
            if "api" not in options:
                options |= {"api": await stack.enter_async_context(self.api())}
            result: TopologyResult = await function(
                subject, owner=self.owner(name), **({"quiet_seconds": 0.0} | options)
            )
            return result

    def owner(self, name: str = "test") -> str:
        return f"{self.suffix}/{name}"

    def options(self) -> list[str]:
        """Returns the options of every command for this broker."""
        endpoints = self.endpoints
        return [
            *("--url", endpoints.management_url, "--ca-file", str(endpoints.ca_file)),
            *("--username", endpoints.admin_username, "--password-file", str(self.password_file)),
            *("--secrets-dir", str(self.secrets_dir)),
        ]

    async def clean(self) -> None:
        async with self.api() as api:
            for each in await api.get(path("users") + "?columns=name"):
                if re.sub(r"\.[0-9]+$", "", each["name"]) in self._users:  # with all its generations
                    await api.delete(path("users", each["name"]))
            for owner in await records(api):
                if owner.startswith(self.suffix):
                    await remove(api, owner)
            for vhost in (self.vhost, f"{self.vhost}-2"):
                await api.delete(path("vhosts", vhost))


@pytest.fixture
async def broker(servers: Servers, tmp_path: Path) -> AsyncIterator[Broker]:
    broker = Broker(servers.broker.endpoints, tmp_path)
    yield broker
    await broker.clean()


@pytest.fixture
async def api(broker: Broker) -> AsyncIterator[ManagementApi]:
    async with broker.api() as api:
        yield api
