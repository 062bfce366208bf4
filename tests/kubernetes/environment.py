"""One test's own env: a namespace, a virtual host of the same name, a Secret that leads to the real broker."""

import asyncio
import base64
import json
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from broker_topology.broker.management_api import ManagementApi, path
from devtools.servers.endpoints import BrokerEndpoints
from tests.kubernetes.api_client import (
    NAMESPACE,
    PATIENCE_SECONDS,
    SECRET,
    TOPOLOGY,
    ApiClient,
    Object,
    is_ready,
    kubeconfig,
)
from tests.kubernetes.operator_process import ROOT, OperatorProcess, operating

REAL_API_SERVER = os.environ.get("WARREN_E2E") == "1"
"""Whether the API server is the one that KUBECONFIG names."""

RBAC = "rbac.authorization.k8s.io/v1"
NAMES = {
    "ServiceAccount": "v1/serviceaccounts",
    "Role": f"{RBAC}/roles",
    "RoleBinding": f"{RBAC}/rolebindings",
    "ClusterRole": f"{RBAC}/clusterroles",
    "ClusterRoleBinding": f"{RBAC}/clusterrolebindings",
}


class OperatorEnv:
    def __init__(self, cluster: ApiClient, address: BrokerEndpoints, folder: Path, namespace: str) -> None:
        self.cluster = cluster
        self.address = address
        self.folder = folder
        self.namespace = self.vhost = namespace
        self.kubeconfig = Path()
        self._stack = AsyncExitStack()
        self._others: list[str] = []

    # The operator

    async def operator(self, **settings: str) -> OperatorProcess:
        """One more process, with the rights of the role for one namespace; stopped when the test ends."""
        settings = {"namespaces": self.namespace} | settings
        return await self._stack.enter_async_context(operating(self.kubeconfig, self.folder, **settings))

    def logs(self) -> str:
        return "\n".join(file.read_text() for file in sorted(self.folder.glob("operator-*.log")))

    async def grant(self, namespace: str, *, account_namespace: str | None = None, only: str | None = None) -> None:
        """Service account, role and binding of `operator/rbac/namespaced.yaml`, for one namespace."""
        home = account_namespace or self.namespace
        for body in yaml.safe_load_all((ROOT / "operator/rbac/namespaced.yaml").read_text()):
            kind, wide = body["kind"], body["kind"].startswith("Cluster")
            if (namespace != home and kind not in {"Role", "RoleBinding"}) or only not in {None, kind}:
                continue
            for subject in body.get("subjects", ()):
                subject["namespace"] = home
            if wide:  # others may have theirs in the same cluster
                body["metadata"]["name"] += f"-{home}"
                if "roleRef" in body:
                    body["roleRef"]["name"] += f"-{home}"
            else:
                body["metadata"]["namespace"] = namespace
            await self.cluster.create(NAMES[kind], "" if wide else namespace, body)

    async def set_up(self) -> None:
        await self.new_namespace(self.namespace)
        await self.grant(self.namespace)
        self.kubeconfig = await self.account("topology-operator")
        await self.broker_secret("broker")

    async def account(self, name: str) -> Path:
        """A kubeconfig of this service account."""
        answer = await self.cluster.send(
            "POST",
            f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{name}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}},
        )
        token = answer["status"]["token"]
        return kubeconfig(self.folder, self.cluster.server, token, self.cluster.authority, name)

    async def tear_down(self) -> None:
        """Ends every operator first, so nothing is made anew; what it could not clean up goes by hand."""
        await self._stack.aclose()
        for namespace in (self.namespace, *self._others):
            for each in await self.cluster.listed(TOPOLOGY, namespace):
                name = each["metadata"]["name"]
                await self.cluster.patch(TOPOLOGY, namespace, name, {"metadata": {"finalizers": None}})
                await self.cluster.delete(TOPOLOGY, namespace, name)
            await self.cluster.delete(NAMESPACE, "", namespace)
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            await self.cluster.delete(NAMES[kind], "", f"topology-operator-topologies-{self.namespace}")
        async with self.api() as api:
            for each in await api.get(path("global-parameters")):
                if each["name"].startswith(f"broker_topology.{self.namespace}"):
                    await api.delete(path("global-parameters", each["name"]))
            for each in await api.get(path("vhosts") + "?columns=name"):
                if each["name"].startswith(self.vhost):
                    await api.delete(path("vhosts", each["name"]))
            for each in await api.get(path("users")):
                if self.namespace in each["name"]:
                    await api.delete(path("users", each["name"]))

    # Kubernetes

    async def new_namespace(self, name: str) -> str:
        if name != self.namespace:
            self._others.append(name)
        await self.cluster.create(NAMESPACE, "", {"metadata": {"name": name}})
        return name

    async def broker_secret(
        self, name: str, *, port: int | None = None, namespace: str | None = None, **data: str
    ) -> None:
        """Leads to the real broker, unless `data` says otherwise. Replaces one that is there."""
        port = port or int(self.address.management_url.rsplit(":", 1)[1])
        data = {
            "uri": f"https://{self.address.host}:{port}",
            "username": self.address.admin_username,
            "password": self.address.admin_password,
            "ca_crt": self.address.ca_file.read_text(),
        } | data
        home = namespace or self.namespace
        if await self.cluster.get(SECRET, home, name) is None:
            await self.cluster.secret(home, name, **data)
            return
        encoded = {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}
        await self.cluster.patch(SECRET, home, name, {"data": encoded})

    def topology(self, name: str, **spec: Any) -> Object:
        base = {"broker": {"secretRef": {"name": "broker"}}, "vhost": self.vhost, "resyncSeconds": 3600}
        return {
            "apiVersion": "warren.dev/v1alpha1",
            "kind": "Topology",
            "metadata": {"name": name},
            "spec": base | spec,
        }

    def user(self, name: str) -> str:
        """A name of this test's own: users belong to the whole broker."""
        return f"{name}-{self.namespace}"

    async def create(self, name: str, *, namespace: str | None = None, **spec: Any) -> Object:
        home = namespace or self.namespace
        return await self.cluster.create(TOPOLOGY, home, self.topology(name, **spec))

    async def change(self, name: str, **spec: Any) -> Object:
        return await self.cluster.patch(TOPOLOGY, self.namespace, name, {"spec": spec})

    async def annotate(self, name: str, **annotations: str | None) -> None:
        body = {"metadata": {"annotations": {f"warren.dev/{key}": value for key, value in annotations.items()}}}
        await self.cluster.patch(TOPOLOGY, self.namespace, name, body)

    async def get(self, name: str) -> Object:
        found = await self.cluster.get(TOPOLOGY, self.namespace, name)
        assert found is not None, f"Topology {name} is gone"
        return found

    async def until(
        self, name: str, holds: Callable[[Object], Any] = is_ready, seconds: float = PATIENCE_SECONDS
    ) -> Object:
        return await self.cluster.until(TOPOLOGY, self.namespace, name, holds, seconds)

    async def delete(self, name: str) -> None:
        await self.cluster.delete(TOPOLOGY, self.namespace, name)

    async def until_gone(self, name: str, seconds: float = PATIENCE_SECONDS) -> None:
        await self.cluster.until_gone(TOPOLOGY, self.namespace, name, seconds)

    # The broker

    def api(self) -> ManagementApi:
        address = self.address
        return ManagementApi(
            address.management_url, address.admin_username, address.admin_password, ca_file=address.ca_file
        )

    async def at_broker(self, kind: str) -> dict[str, Object]:
        """Queues, exchanges or users of this test, by name."""
        async with self.api() as api:
            if kind == "users":
                listed = [each for each in await api.get(path("users")) if self.namespace in each["name"]]
            else:
                vhosts = {each["name"] for each in await api.get(path("vhosts") + "?columns=name")}
                listed = await api.get(path(kind, self.vhost)) if self.vhost in vhosts else []
        return {each["name"]: each for each in listed if each["name"] and not each["name"].startswith("amq.")}

    async def until_broker(
        self, kind: str, holds: Callable[[dict[str, Object]], Any], seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Object]:
        end = time.monotonic() + seconds
        while not holds(found := await self.at_broker(kind)):
            if time.monotonic() > end:
                raise AssertionError(f"the broker's {kind} are {json.dumps(found, indent=1)[:3000]}")
            await asyncio.sleep(0.1)
        return found

    async def publish(self, queue: str, count: int = 1) -> None:
        body = {"properties": {"delivery_mode": 2}, "routing_key": queue, "payload": "x", "payload_encoding": "string"}
        async with self.api() as api:
            for _ in range(count):
                await api.post(path("exchanges", self.vhost, "amq.default", "publish"), body)


@asynccontextmanager
async def site(cluster: ApiClient, address: BrokerEndpoints, folder: Path) -> AsyncIterator[OperatorEnv]:
    env = OperatorEnv(cluster, address, folder, f"topo-{secrets.token_hex(4)}")
    await env.set_up()
    try:
        yield env
    finally:
        await env.tear_down()
        shutil.rmtree(folder / "leftovers", ignore_errors=True)
