"""The environment of one test: a namespace, a virtual host of the same name, and a Secret with the real broker."""

import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from broker_topology.broker.management_api import ManagementApi, path
from devtools.servers.endpoints import BrokerEndpoints
from faults.proxy import FaultProxy
from tests.kubernetes.api_client import (
    EVENT,
    MAX_WAIT_SECONDS,
    NAMESPACE,
    SECRET,
    TOPOLOGY,
    ApiClient,
    is_ready,
    kubeconfig,
    poll,
    secret_of,
)
from tests.kubernetes.operator_process import ROOT, OperatorProcess, running_operator
from topology_operator.kubernetes.objects import Object, decode_secret

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
    """Methods without a namespace work in the test's own."""

    def __init__(self, api: ApiClient, broker: BrokerEndpoints, folder: Path, namespace: str) -> None:
        self.api = api
        self.broker = broker
        self.folder = folder
        self.namespace = self.vhost = namespace
        self.kubeconfig = Path()
        self._stack = AsyncExitStack()
        self._namespaces: list[str] = []

    # The operator

    async def start_operator(self, **settings: str) -> OperatorProcess:
        """Starts one more process, with the rights of `operator/rbac/namespaced.yaml`, until the test ends."""
        settings = {"namespaces": self.namespace} | settings
        return await self._stack.enter_async_context(running_operator(self.kubeconfig, self.folder, **settings))

    def logs(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("operator-*.log")))

    async def grant(self, namespace: str, *, only: str | None = None) -> None:
        """Creates service account, roles and bindings in the test's namespace; role and binding in another one."""
        for body in yaml.safe_load_all((ROOT / "operator/rbac/namespaced.yaml").read_text()):
            kind, wide = body["kind"], body["kind"].startswith("Cluster")
            if (namespace != self.namespace and kind not in {"Role", "RoleBinding"}) or only not in {None, kind}:
                continue
            for subject in body.get("subjects", ()):
                subject["namespace"] = self.namespace
            if wide:  # other tests have theirs in the same cluster
                body["metadata"]["name"] += f"-{self.namespace}"
                if "roleRef" in body:
                    body["roleRef"]["name"] += f"-{self.namespace}"
            else:
                body["metadata"]["namespace"] = namespace
            await self.api.create_object(NAMES[kind], "" if wide else namespace, body)

    async def set_up(self) -> None:
        await self.new_namespace(self.namespace)
        await self.grant(self.namespace)
        account = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/topology-operator/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        token = (await self.api.send("POST", account, request))["status"]["token"]
        self.kubeconfig = kubeconfig(self.folder, self.api.server, token, self.api.authority)
        await self.put_broker_secret()

    async def tear_down(self) -> None:
        """Stops the operators first. Then removes what they left behind."""
        await self._stack.aclose()
        for namespace in self._namespaces:
            for each in await self.api.list_objects(TOPOLOGY, namespace):
                name = each["metadata"]["name"]
                await self.api.patch_object(TOPOLOGY, namespace, name, {"metadata": {"finalizers": None}})
                await self.api.delete_object(TOPOLOGY, namespace, name)
            await self.api.delete_object(NAMESPACE, "", namespace)
        for kind in ("ClusterRoleBinding", "ClusterRole"):
            await self.api.delete_object(NAMES[kind], "", f"topology-operator-topologies-{self.namespace}")
        async with self.management_api() as api:
            for kind in ("global-parameters", "vhosts", "users"):
                for each in await api.get(path(kind)):
                    if self.namespace in each["name"]:
                        await api.delete(path(kind, each["name"]))

    # Kubernetes

    async def new_namespace(self, name: str, *, granted: bool = False) -> str:
        """Creates a namespace, optionally with the operator's rights and a broker Secret in it."""
        self._namespaces.append(name)
        await self.api.create_object(NAMESPACE, "", {"metadata": {"name": name}})
        if granted:
            await self.grant(name)
            await self.put_broker_secret(namespace=name)
        return name

    async def put_broker_secret(
        self, *, name: str = "broker", port: int | None = None, namespace: str | None = None, **data: str
    ) -> None:
        """Creates or replaces the Secret with the real broker's address, changed by `data`."""
        data = {
            "uri": f"https://{self.broker.host}:{port or self.management_port}",
            "username": self.broker.admin_username,
            "password": self.broker.admin_password,
            "ca_crt": self.broker.ca_file.read_text(),
        } | data
        await self.put_secret(name, namespace=namespace, **data)

    async def put_secret(self, name: str, *, namespace: str | None = None, **data: str) -> None:
        body, home = secret_of(name, **data), namespace or self.namespace
        if await self.api.get_object(SECRET, home, name) is None:
            await self.api.create_object(SECRET, home, body)
        else:
            await self.api.patch_object(SECRET, home, name, {"data": body["data"]})

    async def secret(self, name: str) -> dict[str, str]:
        found = await self.api.get_object(SECRET, self.namespace, name)
        assert found is not None, f"Secret {name} does not exist"
        return decode_secret(found)

    async def wait_until_secret(self, name: str, holds: Callable[[dict[str, str]], Any]) -> dict[str, str]:
        found = await self.api.wait_until(SECRET, self.namespace, name, lambda body: holds(decode_secret(body)))
        return decode_secret(found)

    async def delete_secret(self, name: str) -> None:
        await self.api.delete_object(SECRET, self.namespace, name)

    async def owners(self, secret_name: str) -> list[Object]:
        found = await self.api.get_object(SECRET, self.namespace, secret_name)
        assert found is not None
        return found["metadata"].get("ownerReferences") or []

    async def events(self, reason: str, kind: str = "") -> list[str]:
        """Returns the messages of events of this type (Normal or Warning), of both by default."""
        found = await self.api.list_objects(EVENT, self.namespace)
        return [each["message"] for each in found if each["reason"] == reason and kind in {"", each["type"]}]

    # Topologies

    def topology(self, name: str, **spec: Any) -> Object:
        base = {"broker": {"secretRef": {"name": "broker"}}, "vhost": self.vhost, "resyncSeconds": 3600}
        metadata = {"name": name}
        return {"apiVersion": "warren.dev/v1alpha1", "kind": "Topology", "metadata": metadata, "spec": base | spec}

    def user(self, name: str) -> str:
        """Returns a name of this test's own, because users belong to the whole broker."""
        return f"{name}-{self.namespace}"

    async def create(self, name: str, *, namespace: str | None = None, **spec: Any) -> Object:
        return await self.api.create_object(TOPOLOGY, namespace or self.namespace, self.topology(name, **spec))

    async def create_ready(self, name: str, **spec: Any) -> Object:
        await self.create(name, **spec)
        return await self.wait_until_ready(name)

    async def change(self, name: str, **spec: Any) -> None:
        await self.api.patch_object(TOPOLOGY, self.namespace, name, {"spec": spec})

    async def change_ready(self, name: str, **spec: Any) -> Object:
        await self.change(name, **spec)
        return await self.wait_until_ready(name)

    async def annotate(self, name: str, **annotations: str | None) -> None:
        body = {"metadata": {"annotations": {f"warren.dev/{key}": value for key, value in annotations.items()}}}
        await self.api.patch_object(TOPOLOGY, self.namespace, name, body)

    async def get(self, name: str) -> Object:
        found = await self.api.get_object(TOPOLOGY, self.namespace, name)
        assert found is not None, f"Topology {name} is gone"
        return found

    async def wait_until(self, name: str, holds: Callable[[Object], Any], seconds: float = MAX_WAIT_SECONDS) -> Object:
        return await self.api.wait_until(TOPOLOGY, self.namespace, name, holds, seconds)

    async def wait_until_ready(self, name: str, seconds: float = MAX_WAIT_SECONDS) -> Object:
        return await self.wait_until(name, is_ready, seconds)

    async def delete(self, name: str, seconds: float = MAX_WAIT_SECONDS) -> None:
        """Deletes a Topology and waits until it is gone."""
        await self.api.delete_object(TOPOLOGY, self.namespace, name)
        await self.api.wait_until_gone(TOPOLOGY, self.namespace, name, seconds)

    # The broker

    @property
    def management_port(self) -> int:
        return int(self.broker.management_url.rsplit(":", 1)[1])

    def management_api(self) -> ManagementApi:
        broker = self.broker
        return ManagementApi(
            broker.management_url, broker.admin_username, broker.admin_password, ca_file=broker.ca_file
        )

    @asynccontextmanager
    async def proxied_broker(self, *, refusing: bool = False) -> AsyncIterator[FaultProxy]:
        """Puts a proxy in front of the broker, and its address into the broker Secret."""
        async with FaultProxy(self.management_port).serving() as proxy:
            if refusing:
                proxy.refuse()
            await self.put_broker_secret(port=proxy.port)
            yield proxy

    async def at_broker(self, kind: str) -> dict[str, Object]:
        """Queues, exchanges or users of this test, by name."""
        async with self.management_api() as api:
            if kind == "users":
                listed = [each for each in await api.get(path("users")) if self.namespace in each["name"]]
            else:
                vhosts = {each["name"] for each in await api.get(path("vhosts") + "?columns=name")}
                listed = await api.get(path(kind, self.vhost)) if self.vhost in vhosts else []
        return {each["name"]: each for each in listed if each["name"] and not each["name"].startswith("amq.")}

    async def wait_until_broker(self, kind: str, holds: Callable[[dict[str, Object]], Any]) -> dict[str, Object]:
        async def check() -> tuple[dict[str, Object], Any]:
            found = await self.at_broker(kind)
            return found, holds(found)

        return await poll(check, f"the broker's {kind}")

    async def publish(self, queue: str, count: int = 1) -> None:
        body = {"properties": {"delivery_mode": 2}, "routing_key": queue, "payload": "x", "payload_encoding": "string"}
        async with self.management_api() as api:
            for _ in range(count):
                await api.post(path("exchanges", self.vhost, "amq.default", "publish"), body)


@asynccontextmanager
async def operator_env(api: ApiClient, broker: BrokerEndpoints, folder: Path) -> AsyncIterator[OperatorEnv]:
    env = OperatorEnv(api, broker, folder, f"topo-{secrets.token_hex(4)}")
    await env.set_up()
    try:
        yield env
    finally:
        await env.tear_down()
