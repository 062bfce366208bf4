"""The other Topologies of the same broker.

A binding may name an exchange that another Topology declares, perhaps in another namespace, so the engine checks a
Topology together with its peers. Peers are Topologies whose references resolve to the same address.
"""

from collections.abc import Iterator

from broker_topology.errors import InvalidTopology
from broker_topology.resource.fields import BrokerReference
from broker_topology.resource.model import LoadedTopology
from topology_operator.broker.resolver import BrokerResolver
from topology_operator.errors import OperatorError
from topology_operator.kubernetes.api import KubernetesApi
from topology_operator.kubernetes.objects import Body, ResourceKey, key_of
from topology_operator.reconcile.topology_resource import load_topology


class PeerTopologies:
    """Every valid Topology that this operator serves and that is not being deleted."""

    def __init__(self, kubernetes: KubernetesApi) -> None:
        self._kubernetes = kubernetes
        self._topologies: dict[ResourceKey, LoadedTopology] = {}
        self._urls: dict[tuple[str, BrokerReference], str] = {}

    def put(self, body: Body) -> None:
        self.drop(body)
        if not body["metadata"].get("deletionTimestamp"):
            try:
                self._topologies[key_of(body)] = load_topology(body)
            except InvalidTopology:
                return

    def drop(self, body: Body) -> None:
        self._topologies.pop(key_of(body), None)

    def set_url(self, resource: LoadedTopology, url: str) -> None:
        """Records the address that the reference of this Topology was resolved to."""
        if resource.spec.broker is not None:
            self._urls[resource.topology.metadata.namespace or "", resource.spec.broker] = url

    async def peers_of(self, key: ResourceKey, url: str) -> list[LoadedTopology]:
        """Resolves references where needed and returns the Topologies at this address, without that of `key`."""
        return [peer for _, peer in self._others(key) if await self._resolve(peer) == url]

    def possible_peers_of(self, key: ResourceKey) -> list[ResourceKey]:
        """Returns the Topologies that may be at the same address, as far as addresses are known. Makes no request."""
        own = self._topologies.get(key)
        url = self._url(own) if own is not None else None
        return [other for other, peer in self._others(key) if url is None or self._url(peer) in {url, None}]

    def _others(self, key: ResourceKey) -> Iterator[tuple[ResourceKey, LoadedTopology]]:
        return ((other, peer) for other, peer in list(self._topologies.items()) if other != key)

    def _url(self, resource: LoadedTopology) -> str | None:
        broker = resource.spec.broker
        return None if broker is None else self._urls.get((resource.topology.metadata.namespace or "", broker))

    async def _resolve(self, resource: LoadedTopology) -> str | None:
        if (known := self._url(resource)) is not None:
            return known
        resolver = BrokerResolver(self._kubernetes, resource.topology.metadata.namespace or "")
        try:
            connection = await resolver.resolve(resource.spec.broker)
        except OperatorError:
            return None
        self.set_url(resource, connection.url)
        return connection.url
