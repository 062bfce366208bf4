"""The other Topologies of the same broker, which a resource may refer to and must not contradict.

What a binding names may be declared in another resource, perhaps in another namespace, so a resource is checked
together with its neighbours. They are told apart by the address their references lead to, not by how they name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from broker_topology.errors import InvalidTopology
from broker_topology.findings import Origin
from broker_topology.resource.decode import decode
from broker_topology.resource.fields import BrokerReference
from broker_topology.resource.model import LoadedTopology, Topology
from topology_operator.broker.resolver import BrokerResolver
from topology_operator.errors import OperatorError
from topology_operator.kubernetes.api import KubernetesApi

Body = Mapping[str, Any]
ResourceKey = tuple[str, str]
"""Namespace and name."""


def key_of(body: Body) -> ResourceKey:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def loaded(body: Body) -> LoadedTopology:
    """The resource as the engine reads it. Raises `InvalidTopology` with every finding."""
    metadata = body["metadata"]
    namespace, name = key_of(body)
    origin = Origin(f"{namespace}/{name}", name=name)
    plain = {
        "apiVersion": body.get("apiVersion"),
        "kind": body.get("kind"),
        "metadata": {"name": name, "namespace": namespace}
        | {part: dict(metadata[part]) for part in ("labels", "annotations") if metadata.get(part)},
        "spec": msgspec.to_builtins(body.get("spec")),
    }
    topology, findings = decode(plain, Topology, origin)
    if topology is None:
        raise InvalidTopology(findings)
    return LoadedTopology(origin, topology)


class PeerTopologies:
    """Every Topology this operator sees. One that cannot be read, or leads nowhere, is nobody's neighbour."""

    def __init__(self, kubernetes: KubernetesApi) -> None:
        self._kubernetes = kubernetes
        self._bodies: dict[ResourceKey, Body] = {}
        self._loaded: dict[tuple[str, int], LoadedTopology | None] = {}
        self._addresses: dict[tuple[str, BrokerReference], str] = {}

    def put(self, body: Body) -> None:
        self._bodies[key_of(body)] = body

    def drop(self, body: Body) -> None:
        gone = self._bodies.pop(key_of(body), None)
        for known in (gone, body):
            if known is not None:
                self._loaded.pop(_version(known), None)

    def leads_to(self, resource: LoadedTopology, url: str) -> None:
        """Remembers where a resource's reference led."""
        metadata, broker = resource.topology.metadata, resource.spec.broker
        if broker is not None:
            self._addresses[metadata.namespace or "", broker] = url

    def of(self, key: ResourceKey) -> Iterable[tuple[ResourceKey, LoadedTopology]]:
        """All others that are readable and stay, wherever they lead."""
        for other, body in list(self._bodies.items()):
            if other == key or body["metadata"].get("deletionTimestamp"):
                continue
            if (item := self._read(body)) is not None:
                yield other, item

    async def at(self, key: ResourceKey, url: str) -> list[LoadedTopology]:
        """Those whose reference leads to this address."""
        return [item for _, item in self.of(key) if await self._address(item) == url]

    def known_at(self, key: ResourceKey) -> list[ResourceKey]:
        """Those that were seen to lead where this one leads."""
        body = self._bodies.get(key)
        mine = self._read(body) if body is not None else None
        url = self._known(mine) if mine is not None else None
        return [other for other, item in self.of(key) if url is None or self._known(item) in {url, None}]

    def _known(self, item: LoadedTopology) -> str | None:
        broker = item.spec.broker
        return None if broker is None else self._addresses.get((item.topology.metadata.namespace or "", broker))

    async def _address(self, item: LoadedTopology) -> str | None:
        if (known := self._known(item)) is not None or item.spec.broker is None:
            return known
        try:
            found = await BrokerResolver(self._kubernetes, item.topology.metadata.namespace or "").resolve(
                item.spec.broker
            )
        except OperatorError:
            return None
        self.leads_to(item, found.url)
        return found.url

    def _read(self, body: Body) -> LoadedTopology | None:
        version = _version(body)
        if version not in self._loaded:
            try:
                self._loaded[version] = loaded(body)
            except InvalidTopology:
                self._loaded[version] = None
        return self._loaded[version]


def _version(body: Body) -> tuple[str, int]:
    return body["metadata"]["uid"], body["metadata"].get("generation", 0)
